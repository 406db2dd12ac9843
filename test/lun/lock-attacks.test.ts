import { describe, expect, test } from 'vitest'
import { attachLun, detachLun, reconcile } from 'xen-lun'
import type { SimulatedDom0, SimulatedUser } from 'xen-lun/testing'
import { attach, createDom0, rejection, target } from './helpers.ts'

const NOBODY = 65_534
const LOCKS = '/run/xen-lun/locks'
const FORMER = '/run/lock/xen-lun'
const DATABASE = '/run/lock/iscsi'
const LUN = `luns/${target},0`
const FLOCK = `target%20${target.replace(':', '%3A')}`
const ROOTS = '/etc/cron.d'

type Planted = Parameters<SimulatedDom0['plant']>[1]

const theirs = (more: Partial<Planted> = {}): Planted => ({ kind: 'directory', uid: NOBODY, mode: 0o777, ...more })
const link: Planted = { kind: 'link', target: `${ROOTS}/evil`, uid: NOBODY }
const fifo: Planted = { kind: 'fifo', uid: NOBODY }
const ofInit: Planted = { kind: 'file', uid: NOBODY, text: 'xen-lun 1 1 0 0\n' }

/** Whether an operation ends, and how; a process that waits at a FIFO never does. */
async function outcome(dom0: SimulatedDom0): Promise<unknown> {
  const work = attach(dom0).then(
    ({ outcome: how }) => how,
    (error: unknown) => error
  )
  return await Promise.race([work, dom0.host.clock.sleep(600_000).then(() => 'hangs')])
}

async function rootsFiles({ host }: SimulatedDom0): Promise<readonly string[]> {
  return await host.files.list(ROOTS)
}

describe('what somebody else has put where locks are', () => {
  test.each<[string, readonly (readonly [string, Planted])[], string]>([
    ['the folder', [[LOCKS, theirs()]], LOCKS],
    ['the folder above', [['/run/xen-lun', theirs()]], '/run/xen-lun'],
    ['a folder anybody may write to', [[LOCKS, { kind: 'directory', mode: 0o777 }]], LOCKS],
    ['a link as the folder', [[LOCKS, { ...link, target: ROOTS }]], LOCKS],
    ['a link as the folder of LUNs', [[`${LOCKS}/luns`, { ...link, target: ROOTS }]], `${LOCKS}/luns`],
    ['a link as a LUN’s lock', [[`${LOCKS}/${LUN}`, link]], `${LOCKS}/${LUN}`],
    ['a FIFO as a LUN’s lock', [[`${LOCKS}/${LUN}`, fifo]], `${LOCKS}/${LUN}`],
    ['a lock that names init', [[`${LOCKS}/${LUN}`, ofInit]], `${LOCKS}/${LUN}`],
    ['a link as a target’s lock', [[`${LOCKS}/${FLOCK}`, link]], `${LOCKS}/${FLOCK}`],
    ['a FIFO as a target’s lock', [[`${LOCKS}/${FLOCK}`, fifo]], `${LOCKS}/${FLOCK}`],
    ['the folder of the database’s lock', [[DATABASE, theirs()]], DATABASE],
    ['a link as that folder', [[DATABASE, { ...link, target: ROOTS }]], DATABASE],
    ['a FIFO as the database’s lock', [[`${DATABASE}/lock.write`, fifo]], `${DATABASE}/lock.write`],
    ['the folder of notes', [['/run/xen-lun/luns', theirs()]], '/run/xen-lun/luns'],
    ['a link as the folder of notes', [['/run/xen-lun/targets', { ...link, target: ROOTS }]], '/run/xen-lun/targets'],
  ])('%s is refused by its name, at once, and nothing is made elsewhere', async (_, planted, path) => {
    const dom0 = createDom0()
    dom0.plant(ROOTS, { kind: 'directory' })
    for (const [at, file] of planted) dom0.plant(at, file)
    const startedMs = dom0.host.clock.now()
    expect(await outcome(dom0)).toMatchObject({ code: 'PATH_UNSAFE', details: { path } })
    expect(dom0.host.clock.now() - startedMs).toBeLessThan(30_000)
    expect(await rootsFiles(dom0)).toEqual([])
    expect(dom0.state().sessions).toEqual([])
  })

  test('a former folder of locks that is not root’s says nothing, and is not touched', async () => {
    const dom0 = createDom0()
    dom0.plant(ROOTS, { kind: 'directory' })
    dom0.plant(FORMER, theirs())
    dom0.plant(`${FORMER}/${LUN}`, ofInit)
    dom0.plant(`${FORMER}/${FLOCK}`, link)
    expect(await outcome(dom0)).toBe('attached')
    expect((await reconcile({ host: dom0.host, apply: true })).actions).toEqual([])
    dom0.plant(`${FORMER}/luns`, { ...link, target: ROOTS })
    await detachLun({ target }, { host: dom0.host })
    expect(await rootsFiles(dom0)).toEqual([])
    expect(await dom0.host.files.list(FORMER)).toEqual(['luns', FLOCK])
  })
})

describe('an older version that is still at work', () => {
  /** Shows a lock of such a process, which had no number for its time namespace. */
  async function holdFormer(dom0: SimulatedDom0, { pid }: Pick<SimulatedUser, 'pid'>): Promise<void> {
    const stat = (await dom0.host.files.read(`/proc/${pid}/stat`)) ?? ''
    const [start] = stat.trim().split(' ').slice(-2)
    dom0.plant(`${FORMER}/luns`, { kind: 'directory', mode: 0o700 })
    dom0.plant(`${FORMER}/${LUN}`, { kind: 'file', text: `xen-lun ${pid} ${start} 0\n`, mode: 0o600 })
  }

  /** Begins an attach, lets 10 s go by, and answers whether it is through. */
  async function startAttach(dom0: SimulatedDom0): Promise<() => boolean> {
    let isIn = false
    void attach(dom0).then(() => {
      isIn = true
    })
    await dom0.host.clock.sleep(10_000)
    return () => isIn
  }

  test('keeps its LUN from others until it lets go', async () => {
    const dom0 = createDom0()
    const older = dom0.startUser()
    await holdFormer(dom0, older)
    const isIn = await startAttach(dom0)
    expect(isIn()).toBe(false)
    const request = { target, portals: dom0.san.portals }
    const refused = await rejection(attachLun(request, { host: dom0.host, timeoutMs: 5000 }))
    expect(refused).toMatchObject({ code: 'TIMEOUT' })
    await older.host.files.remove(`${FORMER}/${LUN}`)
    await dom0.host.clock.sleep(10_000)
    expect(isIn()).toBe(true)
  })

  test('that was killed does not, and its lock is removed', async () => {
    const dom0 = createDom0()
    const older = dom0.startUser()
    await holdFormer(dom0, older)
    older.kill()
    const { actions } = await reconcile({ host: dom0.host })
    expect(actions).toMatchObject([{ kind: 'unlock', path: `${FORMER}/${LUN}` }])
    expect(await outcome(dom0)).toBe('attached')
    expect(await dom0.host.files.list(`${FORMER}/luns`)).toEqual([])
  })

  test('keeps its target from others until it lets go', async () => {
    const dom0 = createDom0()
    dom0.plant(FORMER, { kind: 'directory', mode: 0o700 })
    const older = dom0.startUser()
    let letGo = (): void => {}
    const { files, executor } = older.host
    const held = files.withDescriptor(`${FORMER}/${FLOCK}`, async descriptor => {
      await executor.exec({
        file: 'flock',
        args: ['--exclusive', '--timeout', '5', '3'],
        descriptors: [descriptor],
        decode: answer => answer,
      })
      await new Promise<void>(resolve => {
        letGo = resolve
      })
    })
    const isIn = await startAttach(dom0)
    expect(isIn()).toBe(false)
    letGo()
    await held
    await dom0.host.clock.sleep(10_000)
    expect(isIn()).toBe(true)
  })
})

test('the longest names that there can be are those of files', async () => {
  const longest = `iqn.2001-05.com.example:${':'.repeat(199)}`
  expect(longest).toHaveLength(223)
  const dom0 = createDom0({ targets: [{ iqn: longest, luns: { 16383: 'v0' } }] })
  const lun = { target: longest, lun: 16_383 }
  await attachLun({ ...lun, portals: dom0.san.portals }, { host: dom0.host })
  await detachLun(lun, { host: dom0.host })
  expect(dom0.leftovers()).toEqual([])
})
