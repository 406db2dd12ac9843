import { rm } from 'node:fs/promises'
import { killChildren } from './children.ts'
import { listNames } from './files.ts'
import { tryRun } from './run.ts'
import { databases, leftovers, snapshot } from './state.ts'
import { until } from './until.ts'
import type { World } from './world.ts'

type Machine = Pick<World, 'guest' | 'daemons'>

const destroyGuests = async ({ guest }: Machine): Promise<void> => {
  for (const name of await guest.list()) await tryRun('xl', ['destroy', name])
  // What a failed block-attach left for a guest that is gone.
  for (const vbd of (await snapshot()).vbds) await tryRun('xenstore-rm', ['-t', vbd])
}

const removeMaps = async (): Promise<void> => {
  for (const { name } of (await snapshot()).maps) {
    // With I/O queued for ever neither a flush nor udev's probe of the map would end.
    await tryRun('multipathd', ['disablequeueing', 'map', name])
    const { exitCode } = await tryRun('multipath', ['-f', name], { timeoutMs: 20_000 })
    if (exitCode !== 0) await tryRun('dmsetup', ['remove', '--force', '--retry', name], { timeoutMs: 20_000 })
  }
}

const removeRecords = async (): Promise<void> => {
  const directories = databases.flatMap(root => ['nodes', 'send_targets', 'ifaces'].map(name => `${root}/${name}`))
  for (const directory of [...directories, '/run/xen-lun', '/var/lib/xen-lun']) {
    for (const name of listNames(directory)) await rm(`${directory}/${name}`, { recursive: true, force: true })
  }
  await rm('/etc/multipath/wwids', { force: true })
}

/** Brings a host back to the state of the start, by force, whatever a scenario has left behind. Its portals must answer. */
export const clearHost = async (machine: Machine): Promise<void> => {
  const { daemons } = machine
  killChildren()
  await daemons.iscsid.start()
  await daemons.multipathd.start()
  await destroyGuests(machine)
  await removeMaps()
  await tryRun('iscsiadm', ['--mode', 'session', '--logout'])
  await removeRecords()
  const isClean = async (): Promise<boolean> => leftovers(await snapshot()).length === 0
  await until('a clean host after the reset', isClean, { everyMs: 500 }).catch(async (error: unknown) => {
    throw new Error(`${String(error)}; left over: ${leftovers(await snapshot()).join('; ')}`)
  })
}

/** The same with the SAN. */
export const resetHost = async (world: World): Promise<void> => {
  const { san } = world
  for (const portal of san.portals) await san.restorePortal(portal)
  await clearHost(world)
  await san.reset()
}
