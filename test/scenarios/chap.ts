import assert from 'node:assert/strict'
import { isLunError, Secret } from 'xen-lun'
import { assertAttached, attach, presentLuns, rejection, target, textOf } from './lun.ts'
import type { Scenario } from './scenario.ts'
import type { World } from './world.ts'

const chap = { username: 'dom0', password: 'correct-horse-1' }
const mutual = { username: 'array', password: 'battery-staple-2' }

async function right(world: World): Promise<void> {
  await presentLuns(world, 0)
  await world.san.setChap(target, chap)
  const lun = await attach(world, { chap: { ...chap, password: new Secret(chap.password) } })
  await assertAttached(world, lun, 2)
  for (const record of (await world.snapshot()).records) {
    assert.equal(((await world.host.files.stat(record))?.mode ?? 0) & 0o777, 0o600)
    assert.match(await textOf(world, record), /^node\.session\.auth\.password = correct-horse-1$/m)
  }
  await lun.detach()
  await world.expectClean()
}

async function wrong(world: World): Promise<void> {
  await presentLuns(world, 0)
  await world.san.setChap(target, chap)
  for (const attempt of [{ ...chap, password: 'wrong-password-3' }, undefined]) {
    const error = await rejection(async () => await attach(world, { chap: attempt }))
    assert.ok(isLunError(error, 'ISCSI_AUTH_FAILED'), error.stack)
    assert.equal(error.details.target, target)
    assert.doesNotMatch(`${error.stack}${JSON.stringify(error)}`, /wrong-password-3/)
    await world.expectClean()
  }
}

async function bothWays(world: World): Promise<void> {
  await presentLuns(world, 0)
  await world.san.setChap(target, { ...chap, mutual })
  const lun = await attach(world, { chap: { ...chap, mutual } })
  await assertAttached(world, lun, 2)
  await lun.detach()
  const impostor = { ...chap, mutual: { ...mutual, password: 'another-target-4' } }
  const error = await rejection(async () => await attach(world, { chap: impostor }))
  assert.ok(isLunError(error, 'ISCSI_LOGIN_REJECTED'), error.stack)
  assert.match(error.message, /did not prove itself by mutual CHAP/)
  await world.expectClean()
}

export const chapScenarios: readonly Scenario[] = [
  { name: 'chap', about: 'CHAP: the secret is in the 0600 record only', run: right },
  { name: 'chap-wrong', about: 'A wrong or missing secret is an error of its own, nothing left', run: wrong },
  { name: 'chap-mutual', about: 'Mutual CHAP, and a target that cannot prove itself', run: bothWays },
]
