import assert from 'node:assert/strict'
import { rm, writeFile } from 'node:fs/promises'
import { inspect } from 'node:util'
import createDebug from 'debug'
import { isLunError, type LunEvent, Secret } from 'xen-lun'
import { assertAttached, attach, presentLuns, rejection, target } from '../../test/scenarios/lun.ts'
import type { Scenario } from '../../test/scenarios/scenario.ts'
import { sampleProcesses } from '../world/sampler.ts'
import { filesHolding } from '../world/search.ts'
import { databases } from '../world/state.ts'
import { captureStderr } from '../world/stderr.ts'
import type { World } from '../world/world.ts'
import { listValues } from '../world/xenstore.ts'

const chap = { username: 'dom0', password: 'planted-horse-71c4' }
const mutual = { username: 'array', password: 'planted-staple-92e8' }
const wrongPassword = 'planted-mistake-33d5'
const secrets = [chap.password, mutual.password, wrongPassword]

const places = ['/run', '/var/log', '/tmp']

async function kept(world: World): Promise<void> {
  await presentLuns(world, 0)
  await world.san.setChap(target, { ...chap, mutual })
  await assertSearchFinds()
  const said: string[] = []
  const hear = (value: unknown): void => {
    said.push(JSON.stringify(value), inspect(value, { depth: 12, showHidden: true }))
  }
  const onEvent = (event: LunEvent): void => hear(event)
  using stderr = captureStderr()
  createDebug.enable('xen-lun*')
  await using sampler = sampleProcesses()
  const lun = await attach(world, { chap: { ...chap, password: new Secret(chap.password), mutual } }, { onEvent })
  hear(lun)
  await assertAttached(world, lun, 2)
  await assertRecordsClosed(world)
  await assertNowhere('while it is attached')
  hear(await lun.detach({ onEvent }))
  const wrong = { ...chap, password: wrongPassword }
  const error = await rejection(async () => await attach(world, { chap: wrong }, { onEvent }))
  assert.ok(isLunError(error, 'ISCSI_AUTH_FAILED'), error.stack)
  hear(error)
  said.push(error.message, error.stack ?? '')
  const samples = [...(await sampler.stop())]
  createDebug.disable()
  // What was never looked at would hold no secret either.
  assert.ok(
    samples.some(text => /iscsiadm\0.*--login\0/.test(text)),
    'iscsiadm was seen while it ran'
  )
  assert.match(stderr.text(), /xen-lun:exec.*iscsiadm/)
  assertSecretFree('events, results and errors', said)
  assertSecretFree('command lines and environments', samples)
  assertSecretFree('the debug log', [stderr.text()])
  await assertNowhere('afterwards')
  assert.deepEqual(
    databases.flatMap(root => filesHolding(root, secrets)),
    []
  )
  await world.expectClean()
}

/** A secret that lies around is found. */
async function assertSearchFinds(): Promise<void> {
  const decoy = '/run/lock/decoy'
  await writeFile(decoy, `password=${chap.password}\n`)
  try {
    assert.deepEqual(
      places.flatMap(place => filesHolding(place, secrets)),
      [decoy]
    )
  } finally {
    await rm(decoy)
  }
  assert.throws(() => assertSecretFree('a decoy', ['nothing', `argument ${mutual.password}`]))
}

/** The node records, and they alone, hold the secrets, and only root can read them. */
async function assertRecordsClosed(world: World): Promise<void> {
  const { records } = await world.snapshot()
  assert.equal(records.length, 2)
  for (const secret of [chap.password, mutual.password]) {
    const holding = databases.flatMap(root => filesHolding(root, [secret]))
    assert.deepEqual(holding.toSorted(), [...records].toSorted())
  }
  for (const record of records) {
    assert.equal(((await world.host.files.stat(record))?.mode ?? 0) & 0o777, 0o600, record)
  }
}

async function assertNowhere(when: string): Promise<void> {
  const files = places.flatMap(place => filesHolding(place, secrets))
  assert.deepEqual(files, [], `files with a secret ${when}`)
  const values = await listValues()
  assert.ok(
    values.some(value => value.startsWith('/local/domain/0/')),
    'xenstore was read'
  )
  assertSecretFree(`xenstore ${when}`, values)
}

function assertSecretFree(what: string, texts: readonly string[]): void {
  const leak = texts.find(text => secrets.some(secret => text.includes(secret)))
  assert.equal(leak, undefined, `a secret is in ${what}`)
}

export const secretScenarios: readonly Scenario<World>[] = [
  {
    name: 'secrets',
    about: 'CHAP secrets are in the 0600 records, and in no argument, environment, file, log, event, error or xenstore',
    onlyOnDom0: 'it watches all processes and files of the host',
    isLong: true,
    timeoutMs: 240_000,
    run: kept,
  },
]
