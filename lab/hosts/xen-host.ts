import { chmod, copyFile, rm, writeFile } from 'node:fs/promises'
import { type AttachRequest, attachLun, detachLun } from 'xen-lun'
import { createDaemons } from '../world/daemons.ts'
import { diagnose } from '../world/diagnosis.ts'
import { readText } from '../world/files.ts'
import { createGuest, type GuestSpec } from '../world/guest.ts'
import { clearHost } from '../world/reset.ts'
import { run, tryRun } from '../world/run.ts'
import { expectClean, snapshot } from '../world/state.ts'
import { type HostName, initiatorOf } from './layout.ts'
import { listenForGuests, receiverLog, sendGuest } from './migration.ts'
import { setUpHostNetwork } from './network.ts'

const scriptLog = '/var/log/lab/block-script.log'

/** One run of the block script. */
export interface ScriptRun {
  readonly action: string
  readonly tookMs: number
  readonly exitCode: number
}

const scriptRuns = (): ScriptRun[] =>
  readText(scriptLog)
    .split('\n')
    .filter(line => line !== '')
    .map(line => {
      const [action = '', began, ended, exitCode] = line.split(' ')
      return { action, tookMs: Math.round((Number(ended) - Number(began)) * 1000), exitCode: Number(exitCode) }
    })

const installScript = async (): Promise<void> => {
  await copyFile('/project/dist/block-xen-lun.cjs', '/lab/block-xen-lun.cjs')
  await chmod('/lab/block-xen-lun.cjs', 0o755)
  await copyFile('/lab/timed-block-script', '/etc/xen/scripts/block-xen-lun')
  await chmod('/etc/xen/scripts/block-xen-lun', 0o755)
}

/** What the agent of a Xen host can do. */
export type XenHostMethods = Awaited<ReturnType<typeof createXenHostMethods>>

export const createXenHostMethods = async (name: HostName) => {
  await setUpHostNetwork(name)
  await writeFile('/etc/iscsi/initiatorname.iscsi', `InitiatorName=${initiatorOf(name)}\n`)
  await installScript()
  const daemons = createDaemons()
  const guest = createGuest()
  await Promise.all([daemons.iscsid.start(), daemons.multipathd.start(), listenForGuests()])
  const machine = { daemons, guest }
  return {
    run,
    tryRun,
    snapshot,
    expectClean,
    sendGuest,
    receiverLog,
    scriptRuns,
    forgetScriptRuns: () => rm(scriptLog, { force: true }),
    createGuest: (spec: GuestSpec) => guest.create(spec),
    destroyGuest: (name: string) => guest.destroy(name),
    guests: () => guest.list(),
    diagnose: () => diagnose(machine),
    reset: () => clearHost(machine),
    /** In a process that was there before the guest, and stays. */
    attach: async (request: AttachRequest, owner: string) => {
      await attachLun({ ...request, paths: { lateMs: 0 } }, { owner, timeoutMs: 90_000 })
    },
    detach: async (request: AttachRequest, owner: string) => {
      const { outcome } = await detachLun(request, { owner, timeoutMs: 90_000 })
      return outcome
    },
  }
}
