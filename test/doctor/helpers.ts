import { type CheckName, doctor, type Executor, type Finding, type Host } from 'xen-lun'
import { createSimulatedDom0, type SimulatedDom0, type SimulationOptions } from 'xen-lun/testing'
import { describe as lineOf } from '../../src/host/command.ts'

export const target = 'iqn.2001-05.com.example:vm1'

/** A dom0 on which nothing is amiss, with a LUN that can be attached. */
export function createDom0(options: SimulationOptions = {}): SimulatedDom0 {
  return createSimulatedDom0({
    volumes: [{ name: 'v0', sizeMiB: 64 }],
    targets: [{ iqn: target, luns: { 0: 'v0' } }],
    ...options,
  })
}

/** Writes a file of the host, and the folders above it. */
export async function plant({ host }: SimulatedDom0, path: string, text: string): Promise<string> {
  await host.files.makeDirectory(path.slice(0, path.lastIndexOf('/')), 0o755)
  await host.files.replace(path, text, 0o644)
  return path
}

/** A node record as iscsiadm writes one, with some settings of our own. */
export async function plantRecord(
  dom0: SimulatedDom0,
  settings: Readonly<Record<string, string>>,
  name = 'iqn.2001-05.com.example:other'
): Promise<string> {
  const all = { 'node.name': name, 'node.conn[0].address': '10.0.1.1', 'node.conn[0].port': '3260', ...settings }
  const lines = Object.entries(all).map(([key, value]) => `${key} = ${value}\n`)
  const text = `# BEGIN RECORD 2.1.11\n${lines.join('')}# END RECORD\n`
  return await plant(dom0, `/var/lib/iscsi/nodes/${name}/10.0.1.1,3260`, text)
}

/** The host, but for these commands: what they print, or what they throw. */
export function answering(host: Host, answers: Readonly<Record<string, string | Error>>): Host {
  const executor: Executor = {
    exec: async (command, options) => {
      const answer = answers[lineOf(command)] ?? answers[command.file]
      if (answer instanceof Error) throw answer
      return answer === undefined
        ? await host.executor.exec(command, options)
        : { exitCode: 0, stdout: answer, stderr: '' }
    },
  }
  return { ...host, executor }
}

/** What one check finds. */
export async function look(host: Host, check: CheckName): Promise<readonly Finding[]> {
  const { findings } = await doctor({ host })
  return findings.filter(finding => finding.check === check)
}

export async function levels(host: Host, check: CheckName): Promise<readonly string[]> {
  return (await look(host, check)).map(({ level }) => level)
}
