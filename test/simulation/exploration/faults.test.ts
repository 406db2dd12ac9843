import fc from 'fast-check'
import { expect, test } from 'vitest'
import { attachLun, detachLun, isLunError } from 'xen-lun'
import { createSimulatedDom0, type SimulatedDom0 } from 'xen-lun/testing'
import { actsOn } from './acts.ts'

const target = 'iqn.2001-05.com.equallogic:0-8a0906-faults'
const RUNS = Number(process.env['FUZZ_RUNS'] ?? 100)
const SEED = process.env['FUZZ_SEED']

const acts = actsOn(target)

const schedules = fc.array(
  fc.record({ atMs: fc.integer({ min: 0, max: 2000 }), act: fc.constantFrom(...Object.keys(acts)) }),
  { maxLength: 6 }
)

async function repair({ san, daemons }: SimulatedDom0, volume: string): Promise<void> {
  for (const portal of san.portals) await san.restorePortal(portal)
  await san.startTarget(target)
  // The volume it was: another one behind a LUN in use is not a repair.
  await san.remapLun(target, 0, volume)
  await daemons.iscsid.start()
  await daemons.multipathd.start()
}

test('whatever fails meanwhile, an attach ends in time, and what it leaves can be detached', {
  timeout: 120_000,
}, async () => {
  const property = fc.asyncProperty(schedules, async schedule => {
    const dom0 = createSimulatedDom0({
      volumes: [
        { name: 'v0', sizeMiB: 64 },
        { name: 'v1', sizeMiB: 64 },
      ],
      targets: [{ iqn: target, luns: { 0: 'v0' } }],
    })
    const { clock } = dom0.host
    const faults = schedule.map(async ({ atMs, act }) => {
      await clock.sleep(atMs)
      await acts[act]?.(dom0)
    })
    const attached = await attachLun({ target, portals: dom0.san.portals }, dom0).catch((error: unknown) => error)
    await Promise.all(faults)
    // 30 s for itself, 90 s to take it back.
    expect(clock.now()).toBeLessThan(125_000)
    expect(attached instanceof Error && !isLunError(attached) ? attached : undefined).toBeUndefined()
    await repair(dom0, schedule.some(({ act }) => act === 'map another volume') ? 'v1' : 'v0')
    // Sessions are made again, paths checked.
    await clock.sleep(60_000)
    await detachLun({ target }, dom0)
    await clock.sleep(60_000)
    expect(dom0.leftovers()).toEqual([])
  })
  await fc.assert(property, { numRuns: RUNS, ...(SEED !== undefined && { seed: Number(SEED) }) })
})
