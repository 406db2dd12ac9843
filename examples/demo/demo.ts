import {
  type Attachment,
  attachLun,
  createIscsiadm,
  createMultipath,
  formatPortal,
  iqn,
  portal,
  resizeLun,
} from 'xen-lun'
import { createSimulatedDom0, type SimulatedDom0 } from 'xen-lun/testing'
import { createTimeline, type Timeline } from './timeline.ts'
import { formatSize, pathTree } from './tree.ts'

const TARGET = iqn('iqn.2001-05.com.example:vm1')
const VOLUME = 'vm1'
const LOOK_MS = 100
const PATIENCE_MS = 60_000

interface Stage {
  readonly dom0: SimulatedDom0
  readonly timeline: Timeline
}

/** Discovers, attaches, loses a path and gets it back, grows, detaches; prints what happens, in virtual time. */
export async function demo(print: (line: string) => void): Promise<void> {
  const dom0 = createSimulatedDom0({
    volumes: [{ name: VOLUME, sizeMiB: 64 }],
    targets: [{ iqn: TARGET, luns: { 0: VOLUME } }],
  })
  const stage: Stage = { dom0, timeline: createTimeline(dom0.host.clock, print) }
  const lun = await attach(stage, await discover(stage))
  await showTree(stage, lun)
  await losePath(stage, lun)
  await grow(stage)
  await showTree(stage, lun)
  await detach(stage, lun)
}

async function discover({ dom0, timeline }: Stage): Promise<readonly string[]> {
  const [first] = dom0.san.portals
  timeline.say(`discover at ${first}`)
  const offers = await createIscsiadm(dom0.host).discover({ portal: portal(first) })
  for (const offer of offers) timeline.say(`  ${offer.target} at ${formatPortal(offer.portal)}`)
  return offers.filter(({ target }) => target === TARGET).map(offer => formatPortal(offer.portal))
}

async function attach({ dom0, timeline }: Stage, portals: readonly string[]): Promise<Attachment> {
  timeline.say(`attach LUN 0 over ${portals.length} portals`)
  const lun = await attachLun({ target: TARGET, portals }, { host: dom0.host, onEvent: timeline.hear })
  timeline.say(`${lun.outcome}: ${lun.device}`)
  return lun
}

async function losePath({ dom0, timeline }: Stage, lun: Attachment): Promise<void> {
  const [, second] = dom0.san.portals
  timeline.say(`cut ${second}: packets vanish from now on`)
  await dom0.san.cutPortal(second)
  await waitForPaths(dom0, lun, 1)
  timeline.say('multipathd has failed the path')
  await showTree({ dom0, timeline }, lun)
  timeline.say(`restore ${second}`)
  await dom0.san.restorePortal(second)
  await waitForPaths(dom0, lun, 2)
  timeline.say('multipathd uses the path again')
}

async function grow({ dom0, timeline }: Stage): Promise<void> {
  timeline.say('grow the volume on the array by half, then resize LUN 0')
  await dom0.san.resizeVolume(VOLUME, 96)
  const resized = await resizeLun({ target: TARGET }, { host: dom0.host, onEvent: timeline.hear })
  timeline.say(`${resized.outcome}: ${formatSize(resized.previousBytes)} to ${formatSize(resized.sizeBytes)}`)
}

async function detach({ dom0, timeline }: Stage, lun: Attachment): Promise<void> {
  timeline.say('detach LUN 0')
  const { outcome } = await lun.detach({ onEvent: timeline.hear })
  timeline.say(outcome)
  const left = dom0.leftovers()
  timeline.say(`left on the host: ${left.length === 0 ? 'nothing' : left.join(', ')}`)
}

async function showTree({ dom0, timeline }: Stage, { map }: Attachment): Promise<void> {
  timeline.show(await pathTree(dom0.host, TARGET, map?.name ?? ''))
}

async function waitForPaths({ host }: SimulatedDom0, { map }: Attachment, count: number): Promise<void> {
  const multipath = createMultipath(host)
  const deadlineMs = host.clock.now() + PATIENCE_MS
  while ((await multipath.map(map?.name ?? ''))?.activePaths !== count) {
    if (host.clock.now() > deadlineMs) throw new Error(`multipathd did not come to ${count} active paths`)
    await host.clock.sleep(LOOK_MS)
  }
}
