import assert from 'node:assert/strict'
import { chmod, rename, writeFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { presentLuns } from '../../test/scenarios/lun.ts'
import type { Scenario } from '../../test/scenarios/scenario.ts'
import { installScript } from '../world/install.ts'
import { createOwnDisk, type OwnDisk, type XlRun } from '../world/own-disk.ts'
import { pauseDaemon } from '../world/pause.ts'
import type { World } from '../world/world.ts'
import { disk as diskLine } from './disk.ts'

/** libxl's limit for a script. */
const killedAfterMs = 40_000
const iscsiadm = '/usr/sbin/iscsiadm'

/** What hangs, and the reason xl has to print for it. */
const faults: Readonly<
  Record<string, { readonly reason: RegExp; readonly during: (world: World) => Promise<AsyncDisposable> }>
> = {
  'iscsiadm hangs': { reason: /iscsiadm|10\.0\.[12]\.1/, during: hangingIscsiadm },
  'no portal answers': { reason: /10\.0\.[12]\.1/, during: cutPortals },
  'multipathd does not run': {
    reason: /multipathd does not run/,
    during: async ({ daemons: { multipathd } }) => {
      await multipathd.stop()
      return { [Symbol.asyncDispose]: async () => await multipathd.start() }
    },
  },
  'multipathd hangs': { reason: /multipath/, during: async () => await pauseDaemon('multipathd') },
}

async function hangingIscsiadm(): Promise<AsyncDisposable> {
  await rename(iscsiadm, `${iscsiadm}.real`)
  await writeFile(iscsiadm, '#!/bin/sh\nexec sleep 300\n')
  await chmod(iscsiadm, 0o755)
  return { [Symbol.asyncDispose]: async () => await rename(`${iscsiadm}.real`, iscsiadm) }
}

async function cutPortals({ san }: World): Promise<AsyncDisposable> {
  for (const portal of san.portals) await san.cutPortal(portal)
  return {
    [Symbol.asyncDispose]: async () => {
      for (const portal of san.portals) await san.restorePortal(portal)
    },
  }
}

/** xl fails before it would have to kill the script, and prints why. */
function assertReason({ exitCode, text, tookMs }: XlRun, reason: RegExp): void {
  assert.notEqual(exitCode, 0)
  assert.match(text, reason)
  assert.ok(tookMs < killedAfterMs, `${tookMs} ms`)
}

async function scriptBudget(world: World): Promise<void> {
  await installScript()
  await presentLuns(world, 0)
  await using disk = await createOwnDisk(world)
  for (const [name, { reason, during }] of Object.entries(faults)) {
    console.error(`LAB: script-budget: ${name}`)
    const attached = await attachDuring(world, disk, during)
    console.error(attached.log)
    console.error(`LAB:   ${attached.tookMs} ms: ${attached.text.trim().split('\n').at(-1)}`)
    assertReason(attached, reason)
    assert.equal(await disk.key('hotplug-status'), 'error')
    assert.equal((await disk.detach()).exitCode, 0)
    await world.expectClean()
  }
  await slowXenstored(world, disk)
}

async function attachDuring(
  world: World,
  disk: OwnDisk,
  during: (world: World) => Promise<AsyncDisposable>
): Promise<XlRun> {
  await using _fault = await during(world)
  return await disk.attach(diskLine(world, 'xvda', 0))
}

/** A xenstored that hangs for seconds again and again: whatever comes of it, exit and keys agree, and in time. */
async function slowXenstored(world: World, disk: OwnDisk): Promise<void> {
  console.error('LAB: script-budget: xenstored is slow')
  const slow = new AbortController()
  const slowing = (async () => {
    while (!slow.signal.aborted) {
      const pause = await pauseDaemon('xenstored')
      await pause.endAfter(1500)
      await delay(200)
    }
  })()
  const attached = await disk.attach(diskLine(world, 'xvda', 0)).finally(() => slow.abort())
  await slowing
  const connected = await disk.key('physical-device')
  console.error(`LAB:   exit ${attached.exitCode} after ${attached.tookMs} ms, physical-device ${connected}`)
  if (attached.exitCode === 0) assert.notEqual(connected, undefined)
  else assert.equal(connected, undefined)
  await disk.detach()
  await world.expectClean()
}

export const scriptBudgetScenarios: readonly Scenario<World>[] = [
  {
    name: 'script-budget',
    about: 'Whatever hangs, the block script ends before xl would kill it, and xl prints why',
    onlyOnDom0: 'it takes xl',
    isLong: true,
    timeoutMs: 600_000,
    run: scriptBudget,
  },
]
