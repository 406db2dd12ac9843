import assert from 'node:assert/strict'
import type { Scenario } from '../scenario.ts'
import { tryRun } from '../world/run.ts'
import { discover, flush, iqn, logIn, logOut, node, waitForPaths } from '../world/stock.ts'
import { until } from '../world/until.ts'
import type { World } from '../world/world.ts'

// These prove the SAN: that each of its faults and changes reaches the initiator.

const sessionStates = async (world: World): Promise<string[]> =>
  (await world.snapshot()).sessions.map(({ portal, state }) => `${portal} ${state}`).sort()

const waitForLoss = (world: World, portal: string): Promise<true> => {
  const probe = async (): Promise<boolean> => !(await sessionStates(world)).includes(`${portal} LOGGED_IN`)
  return until(`the loss of the session to ${portal}`, probe)
}

const tryLogIn = async (): Promise<number> => {
  // One try and no more, or a refused login takes two minutes.
  await node('--op', 'update', '--name', 'node.session.initial_login_retry_max', '--value', '1')
  return (await tryRun('iscsiadm', ['--mode', 'node', '--targetname', iqn, '--login'])).exitCode
}

const faults = async (world: World): Promise<void> => {
  const { san } = world
  const [first, second] = san.portals
  const { wwid } = await san.addVolume({ name: 'v1', sizeMiB: 64 })
  await san.addTarget({ iqn, luns: { 0: 'v1' } })
  await logIn(world, wwid)

  await san.refusePortal(second)
  await waitForLoss(world, second)
  await waitForPaths(world, wwid, 1)
  assert.ok((await sessionStates(world)).includes(`${first} LOGGED_IN`))
  await san.restorePortal(second)
  await waitForPaths(world, wwid, 2)

  await san.killTarget(iqn)
  for (const portal of san.portals) await waitForLoss(world, portal)
  await waitForPaths(world, wwid, 0)
  await san.startTarget(iqn)
  await waitForPaths(world, wwid, 2)
  await logOut(world, wwid)
}

const diskSizes = async (world: World): Promise<number[]> =>
  (await world.snapshot()).disks.map(({ sizeBytes }) => sizeBytes / 1024 / 1024)

const diskWwids = async (world: World): Promise<string[]> =>
  (await world.snapshot()).disks.map(({ lun, wwid }) => `${lun} ${wwid}`).sort()

const luns = async (world: World): Promise<void> => {
  const { san } = world
  const a = await san.addVolume({ name: 'a', sizeMiB: 64 })
  const b = await san.addVolume({ name: 'b', sizeMiB: 64, serial: 'b0b0b0b0' })
  await san.addTarget({ iqn, luns: { 0: 'a' } })
  await logIn(world, a.wwid)

  await san.resizeVolume('a', 96)
  await node('--rescan')
  assert.deepEqual(await diskSizes(world), [96, 96])

  await san.mapLun(iqn, 300, 'b')
  await node('--rescan')
  await waitForPaths(world, b.wwid, 2)
  assert.deepEqual(await diskWwids(world), [`0 ${a.wwid}`, `0 ${a.wwid}`, `300 ${b.wwid}`, `300 ${b.wwid}`])
  await flush(b.wwid)
  await san.unmapLun(iqn, 300)

  await flush(a.wwid)
  await san.remapLun(iqn, 0, 'b')
  await node('--rescan')
  const expected = `0 ${b.wwid}`
  await until('the other volume', async () => (await diskWwids(world)).filter(disk => disk === expected).length === 2)
  await node('--logout')
  await tryRun('multipath', ['-F'])
  await tryRun('multipath', ['-W'])
  await tryRun('iscsiadm', [
    '--mode',
    'discoverydb',
    '--type',
    'sendtargets',
    '--portal',
    san.portals[0],
    '--op',
    'delete',
  ])
  await node('--op', 'delete')
}

const setAuth = async (values: Readonly<Record<string, string>>): Promise<void> => {
  for (const [name, value] of Object.entries(values)) {
    await node('--op', 'update', '--name', `node.session.auth.${name}`, '--value', value)
  }
}

const authFailed = 24

const chap = async (world: World): Promise<void> => {
  const { san } = world
  const { wwid } = await san.addVolume({ name: 'v1', sizeMiB: 64 })
  const mutual = { username: 'target', password: 'target-secret' }
  await san.addTarget({ iqn, luns: { 0: 'v1' }, chap: { username: 'host', password: 'host-secret-1', mutual } })
  await discover(world)
  assert.equal(await tryLogIn(), authFailed)
  await setAuth({ authmethod: 'CHAP', username: 'host', password: 'host-secret-2' })
  assert.equal(await tryLogIn(), authFailed)
  await setAuth({ password: 'host-secret-1', username_in: 'target', password_in: 'not-its-secret' })
  assert.notEqual(await tryLogIn(), 0)
  await setAuth({ password_in: 'target-secret' })
  assert.equal(await tryLogIn(), 0)
  await waitForPaths(world, wwid, 2)
  await node('--logout')
  // New records: iscsid offers CHAP as long as a record has a user name, even with the method "None".
  await node('--op', 'delete')
  await san.setChap(iqn, undefined)
  await discover(world)
  assert.equal(await tryLogIn(), 0)
  await waitForPaths(world, wwid, 2)
  await logOut(world, wwid)
}

export const san: readonly Scenario[] = [
  {
    name: 'san-faults',
    about: 'A refused portal and a killed target lose sessions, and get them back',
    timeoutMs: 300_000,
    run: faults,
  },
  {
    name: 'san-luns',
    about: 'LUNs are resized, mapped, unmapped, and mapped to another volume',
    timeoutMs: 300_000,
    run: luns,
  },
  { name: 'san-chap', about: 'CHAP, one way, mutual and none, is really asked for', run: chap },
]
