import assert from 'node:assert/strict'
import { open } from 'node:fs/promises'
import type { Scenario } from '../scenario.ts'
import { run } from '../world/run.ts'
import { flush, iqn, iscsiadm, logIn, logOut, node, waitForPaths } from '../world/stock.ts'
import type { World } from '../world/world.ts'

// These prove the lab itself, with the stock tools only.

const observers = async (world: World): Promise<void> => {
  const script = 'echo one; /usr/bin/env true; (exec sleep 0)'
  const { executed } = await world.traceProcesses(() => run('sh', ['-c', script]))
  const names = executed.map(file => file.replace(/^.*\//, ''))
  assert.deepEqual(names, ['sh', 'env', 'true', 'sleep'])
  await world.expectClean()
  await world.daemons.multipathd.kill()
  assert.equal((await world.snapshot()).watched, undefined)
  await world.daemons.multipathd.start()
  assert.deepEqual((await world.snapshot()).watched, [])
}

const plainTools = async (world: World): Promise<void> => {
  const { wwid } = await world.san.addVolume({ name: 'v1', sizeMiB: 64 })
  await world.san.addTarget({ iqn, luns: { 0: 'v1' } })
  await logIn(world, wwid)
  const map = await open(`/dev/mapper/${wwid}`, 'r+')
  const written = Buffer.alloc(4096, 'xen-lun')
  await map.write(written, 0, written.length, 8192)
  await map.sync()
  await map.close()
  assert.deepEqual(await world.san.readVolume('v1', 8192, 4096), written)
  await assert.rejects(world.expectClean(), /left over:\n {2}sessions: .*\n {2}sessions: /)
  await logOut(world, wwid)
}

const nics = ['p1', 'p1b']

const twoInterfaces = async (world: World): Promise<void> => {
  const { wwid } = await world.san.addVolume({ name: 'v1', sizeMiB: 64 })
  const [portal] = world.san.portals
  await world.san.addTarget({ iqn, luns: { 0: 'v1' }, portals: [portal] })
  for (const nic of nics) {
    const iface = ['--mode', 'iface', '--interface', `lab-${nic}`]
    await iscsiadm(...iface, '--op', 'new')
    await iscsiadm(...iface, '--op', 'update', '--name', 'iface.net_ifacename', '--value', nic)
    await node('--portal', portal, '--interface', `lab-${nic}`, '--op', 'new')
    await node('--portal', portal, '--interface', `lab-${nic}`, '--login')
  }
  await waitForPaths(world, wwid, 2)
  const { sessions } = await world.snapshot()
  const states = sessions.map(({ iface, state }) => `${iface} ${state}`)
  assert.deepEqual(states.sort(), ['lab-p1 LOGGED_IN', 'lab-p1b LOGGED_IN'])
  await flush(wwid)
  await node('--logout')
  await node('--op', 'delete')
  for (const nic of nics) await iscsiadm('--mode', 'iface', '--interface', `lab-${nic}`, '--op', 'delete')
}

const guestOverFaults = async (world: World): Promise<void> => {
  const { san, guest } = world
  const first = await san.addVolume({ name: 'v1', sizeMiB: 64 })
  const second = await san.addVolume({ name: 'v2', sizeMiB: 64 })
  await san.addTarget({ iqn, luns: { 0: 'v1', 3: 'v2' } })
  await logIn(world, first.wwid, second.wwid)
  await guest.create({ name: 'g1', disks: [`phy:/dev/mapper/${first.wwid},xvda,w`] })
  await guest.waitForBeat('v1')
  await guest.blockAttach('g1', `phy:/dev/mapper/${second.wwid},xvdb,w`)
  await guest.waitForBeat('v2')

  await san.cutPortal(san.portals[0])
  await waitForPaths(world, first.wwid, 1)
  await guest.waitForBeat('v1', { after: await guest.beat('v1') })
  await san.restorePortal(san.portals[0])
  await waitForPaths(world, first.wwid, 2)

  await guest.blockDetach('g1', 'xvdb')
  await guest.waitForBeat('v1', { after: (await guest.beat('v1')) + 3 })
  await guest.destroy('g1')
  assert.deepEqual((await guest.verifyLog('v1')).writers, ['xvda'])
  assert.deepEqual((await guest.verifyLog('v2')).writers, ['xvdb'])
  await logOut(world, first.wwid, second.wwid)
}

export const smoke: readonly Scenario[] = [
  { name: 'smoke-observers', about: 'The lab sees every process it starts, and an empty host', run: observers },
  { name: 'smoke-plain-tools', about: 'Discovery, login, a map of two paths, I/O, flush, logout', run: plainTools },
  { name: 'smoke-two-interfaces', about: 'Two bound interfaces, two sessions to one portal', run: twoInterfaces },
  {
    name: 'smoke-guest',
    about: 'A guest writes through a cut portal, hot attach and detach, and loses no byte',
    timeoutMs: 300_000,
    run: guestOverFaults,
  },
]
