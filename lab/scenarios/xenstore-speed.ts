import assert from 'node:assert/strict'
import { createXenstore } from 'xen-lun'
import type { Scenario } from '../../test/scenarios/scenario.ts'
import { compareSpeed, formatSpeed } from '../../test/scenarios/xenstore-speed.ts'
import type { World } from '../world/world.ts'

const path = '/local/domain/0/name'

async function speed(world: World): Promise<void> {
  const { host, xenstoreDevice } = world
  await using native = createXenstore(host, { transport: 'native' })
  await using commands = createXenstore(host, { transport: 'commands' })
  const expected = await native.read(path)
  const fork = async (): Promise<void> => assert.equal(await commands.read(path), expected)
  const work = { path, reads: 1000, forks: 20, fork, forked: 'xenstore-read' }
  for (const row of await compareSpeed(native, work)) console.log(`     ${formatSpeed(row)}`)
  if (xenstoreDevice !== undefined) {
    await using device = createXenstore({ ...host, xenstoreConnect: xenstoreDevice }, { transport: 'native' })
    const [atOnce] = await compareSpeed(device, { ...work, reads: 100, forks: 1 })
    if (atOnce !== undefined) console.log(`     by the device: ${formatSpeed(atOnce)}`)
  }
  await world.expectClean()
}

export const xenstoreSpeed: readonly Scenario<World>[] = [
  {
    name: 'xenstore-speed',
    about: 'Reads over the socket and by commands answer the same; prints what each costs',
    onlyOnDom0: 'it measures',
    isLong: true,
    run: speed,
  },
]
