import { expect, test } from 'vitest'
import { createDiskWorld, run, WWIDS } from './disk.ts'
import { BLOWS, type Blow, createFaultyHost } from './faulty-host.ts'
import { judgeAdd, judgeRemoval, judgeTime } from './judge.ts'

const BUDGET_MS = 32_000

/** Has one call of an `add` struck; undefined if there are not so many. */
async function strike(at: number, blow: Blow): Promise<readonly string[] | undefined> {
  const world = createDiskWorld()
  const { dom0 } = world
  const user = dom0.startUser()
  const stop = new AbortController()
  const { host, struck } = createFaultyHost(user.host, at, blow, () => stop.abort(new Error('ended by SIGTERM')))
  const added = await run(dom0, 'add', { host, signal: stop.signal })
  user.kill()
  const call = struck()
  if (call === undefined) return undefined
  const found = [
    ...(await judgeAdd(dom0, added, WWIDS.v0)),
    ...judgeTime(added, BUDGET_MS),
    ...(await judgeRemoval(world)),
  ]
  return found.map(complaint => `${call} ${blow}: ${complaint}`)
}

test.each(BLOWS)('an add of which one call %s keeps its word', { timeout: 60_000 }, async blow => {
  const found: string[] = []
  let calls = 0
  for (; ; calls++) {
    const complaints = await strike(calls, blow)
    if (complaints === undefined) break
    found.push(...complaints)
  }
  console.log(`${blow}: ${calls} calls`)
  expect(calls).toBeGreaterThan(50)
  expect(found).toEqual([])
})
