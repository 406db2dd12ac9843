import assert from 'node:assert/strict'
import type { Scenario } from '../../test/scenarios/scenario.ts'
import { run } from '../world/run.ts'
import type { World } from '../world/world.ts'

// Proves the lab itself.

const observers = async (world: World): Promise<void> => {
  const script = 'echo one; /usr/bin/env true; (exec sleep 0)'
  const { executed } = await world.traceProcesses(() => run('sh', ['-c', script]))
  assert.deepEqual(executed, ['sh', 'env', 'true', 'sleep'])
  await world.expectClean()
  await world.daemons.multipathd.kill()
  assert.equal((await world.snapshot()).watched, undefined)
  await world.daemons.multipathd.start()
  assert.deepEqual((await world.snapshot()).watched, [])
}

export const smoke: readonly Scenario<World>[] = [
  {
    name: 'smoke-observers',
    about: 'The lab sees every process it starts, and an empty host',
    onlyOnDom0: 'it proves what watches the real host',
    run: observers,
  },
]
