import assert from 'node:assert/strict'
import { doctor, type Finding } from 'xen-lun'
import { attach, presentLuns } from './lun.ts'
import type { Scenario } from './scenario.ts'
import type { World } from './world.ts'

const TIMEOUT_MS = 60_000
const READ_ONLY = ['iscsiadm', 'iscsiadm', 'xenstore-exists']

async function errorsOf({ host }: World): Promise<readonly Finding[]> {
  const { findings } = await doctor({ host, timeoutMs: TIMEOUT_MS })
  return findings.filter(({ level }) => level === 'error')
}

async function healthy(world: World): Promise<void> {
  await presentLuns(world, 0)
  const lun = await attach(world)
  const before = await world.snapshot()
  const { result, executed } = await world.traceProcesses(
    async () => await doctor({ host: world.host, timeoutMs: TIMEOUT_MS })
  )
  const told = result.findings.map(({ check, level, message }) => `${check} ${level}: ${message}`).join('\n')
  assert.notEqual(result.worst, 'error', told)
  assert.ok(!result.findings.some(({ level }) => level === 'unknown'), told)
  assert.deepEqual(executed.toSorted(), READ_ONLY)
  assert.deepEqual(await world.snapshot(), before)
  await lun.detach()
  await world.expectClean()
}

async function stoppedDaemons(world: World): Promise<void> {
  for (const name of ['multipathd', 'iscsid'] as const) {
    const daemon = world.daemons[name]
    await daemon.stop()
    const errors = await errorsOf(world)
    await daemon.start()
    assert.deepEqual(
      errors.map(({ check }) => check),
      [name]
    )
  }
  assert.deepEqual(await errorsOf(world), [])
}

export const doctorScenarios: readonly Scenario[] = [
  {
    name: 'doctor',
    about: 'A host that is well has no error, and is not changed by looking',
    isLong: true,
    run: healthy,
  },
  { name: 'doctor-daemons', about: 'Daemons that do not run are found', isLong: true, run: stoppedDaemons },
]
