import assert from 'node:assert/strict'
import { createXenstore, isLunError, waitForBackend, type Xenstore } from 'xen-lun'
import { rejection } from './lun.ts'
import type { Scenario } from './scenario.ts'
import type { World } from './world.ts'

// Domains that do not exist: nobody but us looks there.
const GUEST = 30_000
const DRIVER = 30_001
const DEVID = 51_712
const BACKEND = `/local/domain/${DRIVER}/backend/vbd/${GUEST}/${DEVID}`
const NOTES = `/libxl/${GUEST}/device/vbd/${DEVID}`
const ROOTS = [`/local/domain/${GUEST}`, `/local/domain/${DRIVER}`, `/libxl/${GUEST}`]
const disk = { domid: GUEST, vdev: 'xvda' }
const TIMEOUT_MS = 30_000

/** Waits, and does something as soon as the wait has begun. */
async function meanwhile(
  { host }: World,
  work: () => Promise<void>
): Promise<{ readonly answer: unknown } | { readonly error: unknown }> {
  const waiting = waitForBackend(disk, { host, timeoutMs: TIMEOUT_MS }).then(
    answer => ({ answer }),
    (error: unknown) => ({ error })
  )
  await host.clock.sleep(500)
  await work()
  return await waiting
}

async function present(xenstore: Xenstore): Promise<void> {
  await xenstore.write({
    [`/local/domain/${GUEST}/name`]: 'nobody',
    [`${NOTES}/backend`]: BACKEND,
    [`${BACKEND}/state`]: '2',
  })
}

async function play(world: World, xenstore: Xenstore): Promise<void> {
  const nowhere = await rejection(async () => await waitForBackend(disk, { host: world.host }))
  assert.ok(isLunError(nowhere, 'BACKEND_GONE'), nowhere.stack)

  await present(xenstore)
  const connected = await meanwhile(world, async () => {
    await xenstore.write({ [`${BACKEND}/physical-device`]: 'fd:a' })
    await xenstore.write({ [`${BACKEND}/hotplug-status`]: 'connected' })
  })
  const physicalDevice = { major: 253, minor: 10 }
  assert.deepEqual(connected, { answer: { backendPath: BACKEND, physicalDevice, physicalDevicePath: undefined } })

  await xenstore.rm(`${BACKEND}/hotplug-status`)
  const words = { [`${BACKEND}/hotplug-error`]: 'no\u001b[2J LUN\n', [`${BACKEND}/hotplug-status`]: 'error' }
  const failed = await meanwhile(world, async () => await xenstore.write(words))
  assert.ok('error' in failed && isLunError(failed.error, 'BACKEND_FAILED'), JSON.stringify(failed))
  assert.equal(failed.error.details.reason, 'no [2J LUN')

  await xenstore.rm(BACKEND)
  await present(xenstore)
  const removed = await meanwhile(world, async () => await xenstore.rm(BACKEND))
  assert.ok('error' in removed && isLunError(removed.error, 'BACKEND_GONE'), JSON.stringify(removed))
}

async function program(world: World): Promise<void> {
  await using xenstore = createXenstore(world.host)
  try {
    await play(world, xenstore)
  } finally {
    for (const root of ROOTS) await xenstore.rm(root)
  }
  await world.expectClean()
}

export const waitForBackendScenarios: readonly Scenario[] = [
  {
    name: 'wait-for-backend',
    about: "A driver domain's disk is waited for: connected, failed with its reason, taken away",
    run: program,
  },
]
