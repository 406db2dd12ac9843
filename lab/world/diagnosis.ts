import { listNames, readText } from './files.ts'
import { scriptLog } from './install.ts'
import { tryRun } from './run.ts'
import { snapshot } from './state.ts'
import type { World } from './world.ts'

const section = (title: string, text: string): string => `--- ${title}\n${text.trim()}\n`

/** All that may explain a failure, as one text. */
export const diagnose = async ({ daemons, guest }: Pick<World, 'daemons' | 'guest'>): Promise<string> => {
  const sections = [section('state', JSON.stringify(await snapshot(), undefined, 1))]
  const commands = [
    ['multipath', '-ll'],
    ['xl', 'list'],
    ['ps', '-eo', 'pid,ppid,stat,wchan:20,etimes,args', '--forest'],
  ]
  for (const [file = '', ...args] of commands) {
    const { stdout, stderr } = await tryRun(file, args, { timeoutMs: 10_000 })
    sections.push(section([file, ...args].join(' '), stdout + stderr))
  }
  sections.push(section('block script', readText(scriptLog).split('\n').slice(-60).join('\n')))
  const kernelLog = await tryRun('dmesg', [])
  sections.push(section('kernel', kernelLog.stdout.split('\n').slice(-30).join('\n')))
  for (const daemon of [daemons.iscsid, daemons.multipathd]) {
    sections.push(section(daemon.name, daemon.logTail(40)))
  }
  for (const file of listNames('/var/log/xen/console')) {
    const name = file.replace(/^guest-/, '').replace(/\.log$/, '')
    sections.push(section(file, guest.console(name).split('\n').slice(-15).join('\n')))
  }
  return sections.join('')
}
