import assert from 'node:assert/strict'
import { open } from 'node:fs/promises'
import type { Scenario } from '../scenario.ts'
import { run } from '../world/run.ts'
import { iqn, logIn, logOut } from '../world/stock.ts'
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

export const smoke: readonly Scenario[] = [
  { name: 'smoke-observers', about: 'The lab sees every process it starts, and an empty host', run: observers },
  { name: 'smoke-plain-tools', about: 'Discovery, login, a map of two paths, I/O, flush, logout', run: plainTools },
]
