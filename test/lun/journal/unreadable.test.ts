import { describe, expect, test } from 'vitest'
import { cooldown, detachLun, doctor, listAttachments, reconcile, releaseExpired, releaseOwner } from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import { address, attach, createDom0, rejection, target } from '../helpers.ts'

const LUN = `/run/xen-lun/luns/${target},0.json`
const TARGET = `/run/xen-lun/targets/${target}.json`
const RECORDS = `/var/lib/xen-lun/records/${target}.json`
const owner = 'guest'
const refused = (path: string) => ({ code: 'JOURNAL_UNREADABLE', details: { path } })

/** Puts a note of ours in a state that this version cannot read, and answers what it was. */
async function damage(
  { host: { files } }: SimulatedDom0,
  path: string,
  edit: (text: string) => string
): Promise<string> {
  const text = (await files.read(path)) ?? ''
  expect(text).not.toBe('')
  await files.replace(path, edit(text), 0o600)
  expect(await files.read(path)).not.toBe(text)
  return text
}

/** Everything a host holds is as it was. */
async function expectNoChange(dom0: SimulatedDom0, path: string, act: () => Promise<unknown>): Promise<void> {
  const before = [dom0.state(), await dom0.host.files.read(path)]
  await act()
  expect([dom0.state(), await dom0.host.files.read(path)]).toEqual(before)
}

const flaws: readonly (readonly [string, (text: string) => string])[] = [
  ['cut off', text => text.slice(0, -20)],
  ['empty', () => ''],
  ['of a later version', text => text.replace(/"version": \d/, '"version": 9')],
  ['without a boot', text => text.replace('"bootId"', '"boot"')],
]
const lunFlaws: typeof flaws = [
  ...flaws,
  ['with a state that is not known', text => text.replace('"attached"', '"resting"')],
  [
    'with an end that is not known',
    text => text.replace('"attached"', '"attached", "expiry": { "kind": "lease", "untilMs": 1 }'),
  ],
]

describe.each(lunFlaws)('a LUN whose entry is %s is held by somebody unknown:', (_, edit) => {
  test('nobody takes it away, releases it, or gets it', async () => {
    const dom0 = createDom0()
    await attach(dom0, 0, dom0, owner)
    const text = await damage(dom0, LUN, edit)
    const host = dom0.startUser().host
    await expectNoChange(dom0, LUN, async () => {
      const acts = [
        async () => await detachLun(address, { host, owner: 'another' }),
        async () => await detachLun(address, { host, owner, lingerMs: 60_000 }),
        async () => await releaseOwner(owner, { host }),
        async () => await cooldown(address, { host, owner: 'another' }),
        async () => await attach(dom0, 0, { ...dom0, host }, 'another'),
      ]
      for (const act of acts) expect(await rejection(act())).toMatchObject(refused(LUN))
      expect(await releaseExpired({ host })).toMatchObject({ released: [], failed: [] })
      const { actions, notices, failed } = await reconcile({ host, apply: true })
      expect([actions, failed]).toEqual([[], []])
      expect(notices).toMatchObject([{ kind: 'unreadable-entry', subject: LUN }])
      const { attachments, unknown } = await listAttachments({ host })
      expect(attachments).toMatchObject([{ lun: 0, owners: 'unknown' }])
      expect(unknown.journal).toContain(LUN)
      const { findings } = await doctor({ host })
      expect(findings.filter(({ check }) => check === 'journal')).toMatchObject([{ level: 'error', subject: LUN }])
    })
    await dom0.host.files.replace(LUN, text, 0o600)
    expect(await detachLun(address, { host, owner })).toMatchObject({ outcome: 'detached' })
    expect(dom0.leftovers()).toEqual([])
  })

  test('another LUN of its target goes without it', async () => {
    const dom0 = createDom0()
    await attach(dom0, 0, dom0, owner)
    await attach(dom0, 1, dom0, 'backend/vbd/7/51712')
    await damage(dom0, LUN, edit)
    const { sessions, records } = dom0.state()
    // A backend is one disk, so there is nothing else that it could hold.
    expect(await releaseOwner('backend/vbd/7/51712', dom0)).toMatchObject([{ outcome: 'detached', lun: 1 }])
    expect(dom0.state()).toMatchObject({ sessions, records })
    expect(dom0.state().disks.map(({ lun }) => lun)).toEqual([0, 0])
  })
})

describe.each([
  ...flaws.map(([what, edit]) => [TARGET, what, edit] as const),
  ...flaws.slice(0, 3).map(([what, edit]) => [RECORDS, what, edit] as const),
])('what is noted of a target, in %s, is %s:', (path, _, edit) => {
  test('its sessions and records stay, and nothing is written over it', async () => {
    const dom0 = createDom0()
    const { host } = dom0
    await attach(dom0, 0, dom0, owner)
    const text = await damage(dom0, path, edit)
    const { sessions, records } = dom0.state()
    expect(await rejection(attach(dom0, 1))).toMatchObject(refused(path))
    expect((await listAttachments(dom0)).attachments).toMatchObject([{ pathCount: { up: 2 } }])
    expect((await reconcile({ host, apply: true })).actions).toEqual([])
    // The LUN is known to be ours, what it came over is not.
    const error = { code: 'DETACH_INCOMPLETE', details: { steps: [{ message: expect.stringContaining(path) }] } }
    expect(await rejection(detachLun(address, { host, owner }))).toMatchObject(error)
    expect(dom0.state()).toMatchObject({ sessions, records, disks: [] })
    expect((await reconcile({ host, apply: true })).notices).toMatchObject([
      { kind: 'unreadable-entry', subject: path },
    ])
    expect(await host.files.read(path)).toBe(edit(text))

    await host.files.replace(path, text, 0o600)
    expect(await detachLun(address, { host, owner })).toMatchObject({ outcome: 'detached' })
    expect(dom0.leftovers()).toEqual([])
  })

  test('a LUN that nobody noted takes no session with it', async () => {
    const dom0 = createDom0()
    const { host } = dom0
    await attach(dom0, 0, dom0, owner)
    await damage(dom0, path, edit)
    await host.files.remove(LUN)
    const { sessions } = dom0.state()
    expect(await rejection(detachLun(address, dom0))).toMatchObject({ code: 'DETACH_INCOMPLETE' })
    expect(dom0.state()).toMatchObject({ sessions })
  })
})

test("a map without paths is not called nobody's while an entry cannot be read", async () => {
  const dom0 = createDom0()
  await attach(dom0, 0, dom0, owner)
  const { files } = dom0.host
  const list = async (path: string) => (path.endsWith('/slaves') ? [] : await files.list(path))
  const host = { ...dom0.host, files: { ...files, list } }
  const kinds = async (): Promise<readonly string[]> => (await reconcile({ host })).notices.map(({ kind }) => kind)
  const text = await damage(dom0, LUN, () => '')
  expect(await kinds()).not.toContain('empty-map')
  await files.replace(LUN, text.replace(/"wwid": "[^"]*",/, ''), 0o600)
  expect(await kinds()).toContain('empty-map')
})

test('without the id of this boot nothing is forgotten', async () => {
  const dom0 = createDom0()
  await attach(dom0, 0, dom0, owner)
  const { files } = dom0.host
  const blind = async (path: string) => (path.endsWith('/boot_id') ? undefined : await files.read(path))
  const host = { ...dom0.host, files: { ...files, read: blind } }
  expect(await rejection(reconcile({ host, apply: true }))).toMatchObject({ code: 'JOURNAL_UNREADABLE' })
  expect(await rejection(detachLun(address, { host, owner }))).toMatchObject({ code: 'JOURNAL_UNREADABLE' })
  expect(dom0.state().disks).toHaveLength(2)
})
