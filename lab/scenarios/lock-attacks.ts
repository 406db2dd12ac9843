import assert from 'node:assert/strict'
import { chmod, mkdir, rm, stat } from 'node:fs/promises'
import { attachLun, isLunError, reconcile } from 'xen-lun'
import { attach, presentLuns, rejection, target } from '../../test/scenarios/lun.ts'
import type { Scenario } from '../../test/scenarios/scenario.ts'
import { listNames } from '../world/files.ts'
import { startProgramAs } from '../world/programs.ts'
import type { Attempt, LockAttackerLine } from '../world/protocol.ts'
import type { World } from '../world/world.ts'

const NOBODY = 65_534
const LINE_MS = 60_000
const STICKY_FOR_ALL = 0o1777
const shared = '/run/lock'
const former = `${shared}/xen-lun`
const database = `${shared}/iscsi`
const locks = '/run/xen-lun/locks'
/** Only root can make a file here. */
const roots = '/run/lab-roots'
const lun = `luns/${target},0`
const flock = `target%20${target.replaceAll(':', '%3A')}`
const init = 'xen-lun 1 1 1 1\n'

interface Attacker extends AsyncDisposable {
  /** How each attempt went, in order. */
  try(attempts: readonly Attempt[]): Promise<readonly string[]>
}

async function startAttacker(): Promise<Attacker> {
  const program = startProgramAs<LockAttackerLine>(NOBODY, 'lock-attacker')
  assert.deepEqual(await program.next('its start', LINE_MS), { type: 'ready' })
  return {
    try: async attempts => {
      program.send(attempts)
      const line = await program.next('what became of it', LINE_MS)
      assert.ok(line?.type === 'tried', JSON.stringify(line))
      return line.outcomes
    },
    [Symbol.asyncDispose]: async () => await program[Symbol.asyncDispose](),
  }
}

/** /run/lock as Debian has it, and a folder of root's that must stay empty; both as they were at the end. */
async function openPlaces(): Promise<AsyncDisposable> {
  const { mode } = await stat(shared)
  const clear = async (): Promise<void> => {
    for (const path of [former, database, roots]) await rm(path, { recursive: true, force: true })
  }
  await clear()
  await chmod(shared, STICKY_FOR_ALL)
  await mkdir(roots, { mode: 0o755 })
  return {
    [Symbol.asyncDispose]: async () => {
      await clear()
      await chmod(shared, mode & 0o7777)
    },
  }
}

const untouched = (): void => assert.deepEqual(listNames(roots), [], 'root made a file where somebody else wanted it')

/** What was made in the former place before root came there is not looked at. */
async function takeFormerPlace(world: World, attacker: Attacker): Promise<void> {
  for (const kind of ['symlink', 'mkfifo', 'write'] as const) {
    const lie = (path: string): Attempt =>
      kind === 'mkfifo' ? { kind, path } : { kind, path, text: kind === 'write' ? init : `${roots}/evil` }
    const outcomes = await attacker.try([
      { kind: 'mkdir', path: former },
      { kind: 'mkdir', path: `${former}/luns` },
      lie(`${former}/${lun}`),
      lie(`${former}/${flock}`),
    ])
    assert.deepEqual(outcomes, ['done', 'done', 'done', 'done'], kind)
    await (await attach(world)).detach()
    await reconcile({ host: world.host, apply: true })
    untouched()
    await rm(former, { recursive: true })
  }
  const asLinks: readonly Attempt[] = [{ kind: 'symlink', path: former, text: roots }]
  assert.deepEqual(await attacker.try(asLinks), ['done'])
  await (await attach(world)).detach()
  untouched()
  await rm(former)
}

/** Nobody gets to where locks and notes are, and two are never in one LUN, whatever is tried meanwhile. */
async function stayOut(world: World, attacker: Attacker): Promise<void> {
  const attempts: readonly Attempt[] = [
    { kind: 'mkdir', path: '/run/xen-lun/mine' },
    { kind: 'symlink', path: `${locks}/mine`, text: roots },
    { kind: 'write', path: `${locks}/${lun}`, text: init },
    { kind: 'unlink', path: `${locks}/${lun}` },
    { kind: 'unlink', path: `${locks}/${flock}` },
    { kind: 'symlink', path: `/run/xen-lun/luns/${target},0.json`, text: roots },
    { kind: 'mkdir', path: '/run/xen-lun-mine' },
  ]
  let inside = 0
  const handOver = async (): Promise<void> => {
    inside += 1
    assert.equal(inside, 1, 'two operations are in one LUN')
    const outcomes = await attacker.try(attempts)
    assert.deepEqual([...new Set(outcomes)], ['EACCES'])
    inside -= 1
  }
  const { host, san } = world
  const owners = ['a', 'b', 'c']
  const attached = await Promise.all(
    owners.map(
      async owner => await attachLun({ target, portals: san.portals }, { host, owner, handOver, timeoutMs: 90_000 })
    )
  )
  for (const each of attached) await each.detach()
  untouched()
}

/** open-iscsi's own folder stays where everybody may make it; then it is refused before iscsiadm comes there. */
async function takeDatabase(world: World, attacker: Attacker): Promise<void> {
  const takes: readonly (readonly Attempt[])[] = [
    [{ kind: 'mkdir', path: database }],
    [{ kind: 'symlink', path: database, text: roots }],
    [
      { kind: 'mkdir', path: database },
      { kind: 'mkfifo', path: `${database}/lock.write` },
      { kind: 'symlink', path: `${database}/lock`, text: `${roots}/evil` },
    ],
  ]
  for (const attempts of takes) {
    await rm(database, { recursive: true, force: true })
    assert.deepEqual([...new Set(await attacker.try(attempts))], ['done'])
    const error = await rejection(async () => await attach(world))
    assert.ok(isLunError(error, 'PATH_UNSAFE'), error.stack)
    assert.equal(error.details.path, database)
    untouched()
  }
  await rm(database, { recursive: true, force: true })
  await (await attach(world)).detach()
}

async function attacked(world: World): Promise<void> {
  await presentLuns(world, 0)
  await using _places = await openPlaces()
  await using attacker = await startAttacker()
  await takeFormerPlace(world, attacker)
  await stayOut(world, attacker)
  await takeDatabase(world, attacker)
  await world.expectClean()
}

export const lockAttackScenarios: readonly Scenario<World>[] = [
  {
    name: 'lock-attacks',
    about:
      'a user without rights makes folders, links, FIFOs and locks where root has its own, and nothing comes of it',
    onlyOnDom0: 'it takes users',
    timeoutMs: 300_000,
    run: attacked,
  },
]
