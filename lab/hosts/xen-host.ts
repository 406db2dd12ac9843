import { writeFile } from 'node:fs/promises'
import { createDaemons } from '../world/daemons.ts'
import { diagnose } from '../world/diagnosis.ts'
import { createGuest, type GuestSpec } from '../world/guest.ts'
import { assertSnapshotWorks } from '../world/install.ts'
import { clearHost } from '../world/reset.ts'
import { run } from '../world/run.ts'
import { expectClean, snapshot } from '../world/state.ts'
import { forgetScriptRuns, installTimedScript, scriptRuns } from './block-script.ts'
import { type HostName, initiatorOf } from './layout.ts'
import { listenForGuests, receiverLog, sendGuest } from './migration.ts'
import { setUpHostNetwork } from './network.ts'

/** What the agent of a Xen host can do. */
export type XenHostMethods = Awaited<ReturnType<typeof createXenHostMethods>>

export const createXenHostMethods = async (name: HostName) => {
  await setUpHostNetwork(name)
  await writeFile('/etc/iscsi/initiatorname.iscsi', `InitiatorName=${initiatorOf(name)}\n`)
  await installTimedScript()
  const daemons = createDaemons()
  const guest = createGuest()
  await Promise.all([daemons.iscsid.start(), daemons.multipathd.start(), listenForGuests()])
  const machine = { daemons, guest }
  return {
    run,
    snapshot,
    expectClean,
    sendGuest,
    receiverLog,
    scriptRuns,
    forgetScriptRuns,
    assertSnapshotWorks,
    createGuest: (spec: GuestSpec) => guest.create(spec),
    destroyGuest: (name: string) => guest.destroy(name),
    guests: () => guest.list(),
    countTripleFaults: async () => (await run('xl', ['dmesg'])).split('Triple fault').length - 1,
    diagnose: () => diagnose(machine),
    reset: () => clearHost(machine),
  }
}
