import { describe, expect, test } from 'vitest'
import { LunError } from '../../../src/core/error.ts'
import type { PathOutcome } from '../../../src/core/path-outcome.ts'
import { portal } from '../../../src/core/portal.ts'
import { createEntrance } from '../../../src/lun/attaching/entrance.ts'
import { type PathRun, waitForPaths } from '../../../src/lun/attaching/paths.ts'
import { createContext } from '../../../src/lun/context.ts'
import { ownerName } from '../../../src/lun/journal/owner.ts'
import type { Operation } from '../../../src/lun/operation.ts'
import { checkAttachRequest, type PathPolicy } from '../../../src/lun/request.ts'
import { createReplayExecutor } from '../../../src/testing/replay.ts'
import { createFakeClock } from '../../support/fake-clock.ts'
import { createFakeLocks } from '../../support/fake-locks.ts'
import { createMemoryFiles } from '../../support/memory-files.ts'

const target = 'iqn.2001-05.com.example:vm1'

/** When a path gets its session and when it settles, and how, in ms of the fake clock. */
interface Fate {
  readonly sessionMs?: number
  readonly upMs?: number
  readonly failMs?: number
  readonly error?: Error
}

async function waitedMs(policy: PathPolicy, fates: readonly Fate[], stopMs = 60_000): Promise<number> {
  const clock = createFakeClock()
  const host = { clock, files: createMemoryFiles(), locks: createFakeLocks(), executor: createReplayExecutor([]) }
  const context = createContext(host)
  const wish = checkAttachRequest({ target, portals: ['10.0.0.1'], paths: policy })
  const stop = new AbortController()
  const signal = stop.signal
  const operation: Operation = {
    target: wish.target,
    lun: 0,
    owner: ownerName('test'),
    timeoutMs: stopMs,
    deadlineMs: stopMs,
    signal,
    emit: () => {},
    keep: () => {},
    step: async (_, task) => await task(),
  }
  const paths = fates.map((fate, n): PathRun => {
    const endpoint = { portal: portal(`10.0.${n}.1`), iface: 'default' }
    const outcome = (): PathOutcome => {
      if (clock.now() > stopMs) stop.abort(new Error('waited too long'))
      const { upMs = Infinity, failMs = Infinity, error = unreachable() } = fate
      const base = { portal: `10.0.${n}.1:3260`, iface: 'default' }
      if (clock.now() >= failMs) return { ...base, state: 'failed', error }
      return { ...base, state: clock.now() >= upMs ? 'up' : 'pending' }
    }
    const hasSession = (): boolean => clock.now() >= (fate.sessionMs ?? fate.upMs ?? Infinity)
    return { endpoint, outcome, hasSession, pinned: Promise.resolve(), settled: Promise.resolve() }
  })
  const identity = { wwid: undefined, sizeBytes: undefined, check: async () => {} }
  const made = {
    records: [],
    changed: [],
    logins: [],
    jobs: [],
    strangers: new Set(''),
    running: [],
    hctls: new Set(''),
    joined: new Set(''),
    wwidsBefore: [],
    isHoldNew: true,
    isOffered: false,
  }
  const entrance = createEntrance(context, operation, signal)
  const shared = { context, operation, wish, made, identity, isMultipath: true, entrance, admit: async () => {} }
  await waitForPaths(shared, paths)
  return clock.now()
}

const unreachable = (): LunError => new LunError('ISCSI_PORTAL_UNREACHABLE', 'no answer', { target, portal: 'x' })

/** What took long may be seen a little late, see `until`. */
function expectSoonAfter(ms: number, seenMs: number): void {
  expect(seenMs).toBeGreaterThanOrEqual(ms)
  expect(seenMs).toBeLessThan(1.05 * ms)
}

describe('an attach returns', () => {
  test('when all paths are up, unless told otherwise', async () => {
    expect(await waitedMs({}, [{ upMs: 1000 }, { upMs: 1400 }])).toBe(1400)
  })

  test('at the number of paths wanted', async () => {
    expect(await waitedMs({ wanted: 1 }, [{ upMs: 1000 }, { upMs: 1400 }])).toBe(1000)
    expect(await waitedMs({ wanted: 2 }, [{ upMs: 1000 }, { upMs: 1400 }, { upMs: 9000 }])).toBe(1400)
  })

  test('soon after the first path where a portal does not answer', async () => {
    expect(await waitedMs({}, [{ upMs: 1000 }, {}])).toBe(1500)
    expect(await waitedMs({ graceMs: 0 }, [{ upMs: 1000 }, {}])).toBe(1000)
  })

  test('when a path that has its session is up, however slow this host is', async () => {
    expectSoonAfter(4000, await waitedMs({}, [{ upMs: 1000 }, { sessionMs: 900, upMs: 4000 }]))
  })

  test('at last without a path whose local work never ends', async () => {
    expectSoonAfter(16_000, await waitedMs({}, [{ upMs: 1000 }, { sessionMs: 900 }]))
  })

  test('with the paths it has, as long as there is time for what comes after them', async () => {
    expectSoonAfter(7500, await waitedMs({}, [{ upMs: 1000 }, { sessionMs: 900 }], 10_000))
    // A moment for those that are as good as there, as long as it is not all that is left.
    expectSoonAfter(8000, await waitedMs({}, [{ upMs: 7600 }, { sessionMs: 900, upMs: 8000 }], 10_000))
    expectSoonAfter(8100, await waitedMs({}, [{ upMs: 7600 }, { sessionMs: 900 }], 10_000))
    expectSoonAfter(8900, await waitedMs({}, [{ upMs: 8900 }, { sessionMs: 900 }], 10_000))
  })

  test('at once when the other paths have failed', async () => {
    expect(await waitedMs({}, [{ upMs: 1000 }, { failMs: 300 }])).toBe(1000)
  })

  test('not before the minimum is up', async () => {
    expectSoonAfter(8500, await waitedMs({ min: 2 }, [{ upMs: 1000 }, { upMs: 8000 }, {}]))
  })
})

describe('an attach fails', () => {
  test('with the error of its paths where they agree', async () => {
    await expect(waitedMs({}, [{ failMs: 100 }, { failMs: 300 }])).rejects.toMatchObject({
      code: 'ISCSI_PORTAL_UNREACHABLE',
    })
  })

  test('with every reason where they differ', async () => {
    const auth = new LunError('ISCSI_AUTH_FAILED', 'bad secret', { target, portal: '10.0.0.1:3260' })
    await expect(waitedMs({}, [{ failMs: 100, error: auth }, { failMs: 300 }])).rejects.toMatchObject({
      code: 'NO_PATHS',
      details: {
        failures: [
          { step: '10.0.0.1:3260', message: 'bad secret' },
          { step: '10.0.1.1:3260', message: 'no answer' },
        ],
      },
    })
  })

  test('as soon as the minimum is out of reach', async () => {
    await expect(waitedMs({ min: 2 }, [{ upMs: 100 }, { failMs: 300 }])).rejects.toMatchObject({ code: 'NO_PATHS' })
  })

  test('at once when one path leads to another volume, whatever the others do', async () => {
    const details = { target, lun: 0, what: 'wwid', expected: 'a', found: 'b' } as const
    const foreign = new LunError('LUN_MISMATCH', 'another volume', details)
    const paths = [{ upMs: 100 }, { failMs: 100, error: foreign }]
    await expect(waitedMs({}, paths)).rejects.toMatchObject({ code: 'LUN_MISMATCH' })
  })

  test('with the reason of the signal', async () => {
    await expect(waitedMs({}, [{}], 5000)).rejects.toThrow('waited too long')
  })
})
