import { describe, expect, test } from 'vitest'
import { attachLun, detachLun, doctor, type Files, listAttachments, reconcile, releaseOwner } from 'xen-lun'
import type { PlantedFile, SimulatedDom0 } from 'xen-lun/testing'
import { address, attach, createDom0, rejection, target } from '../helpers.ts'

const LUN = `/run/xen-lun/luns/${target},0.json`
const TARGET = `/run/xen-lun/targets/${target}.json`
const RECORDS = `/var/lib/xen-lun/records/${target}.json`
const DISCOVERY = '/var/lib/xen-lun/discoveries/10.0.1.1:3260.json'
const ELSEWHERE = '/etc/elsewhere.json'

/** What could be in the place of a note. */
const shapes: readonly (readonly [string, PlantedFile, string])[] = [
  ['a FIFO', { kind: 'fifo' }, 'is no file but a FIFO, a socket or a device'],
  ['a folder', { kind: 'directory' }, 'is no file but a folder'],
  ['a link to elsewhere', { kind: 'link', target: ELSEWHERE }, 'is no file but a symbolic link'],
  ["somebody else's", { kind: 'file', uid: 4242, text: '{}' }, 'belongs to user 4242'],
]

async function expectTold({ host }: SimulatedDom0, path: string, reason: string): Promise<void> {
  const { actions, notices, failed } = await reconcile({ host, apply: true })
  expect([actions, failed]).toEqual([[], []])
  const told = notices.filter(({ kind }) => kind === 'unreadable-entry')
  expect(told).toMatchObject([{ subject: path, message: expect.stringContaining(reason) }])
  const { findings } = await doctor({ host })
  const found = findings.filter(({ check }) => check === 'journal')
  expect(found).toMatchObject([{ level: 'error', subject: path, message: expect.stringContaining(reason) }])
  expect((await listAttachments({ host })).unknown.journal).toContain(path)
}

/** Puts something in the place of a note of a LUN that is attached; answers what the note was. */
async function replaceNote(dom0: SimulatedDom0, path: string, file: PlantedFile): Promise<string> {
  await attach(dom0)
  const { files } = dom0.host
  const text = (await files.read(path)) ?? ''
  dom0.plant(ELSEWHERE, { kind: 'file', text })
  dom0.plant(path, file)
  return text
}

describe.each(shapes)('a note that is %s', (_, file, reason) => {
  const refused = (path: string) => ({ code: 'JOURNAL_UNREADABLE', details: { path, reason } })

  test('is held by somebody unknown, if it is that of a LUN', async () => {
    const dom0 = createDom0()
    const text = await replaceNote(dom0, LUN, file)
    const { disks, sessions } = dom0.state()
    expect(await rejection(detachLun(address, dom0))).toMatchObject(refused(LUN))
    expect(await rejection(attach(dom0))).toMatchObject(refused(LUN))
    expect(await rejection(releaseOwner('default', dom0))).toMatchObject(refused(LUN))
    await expectTold(dom0, LUN, reason)
    expect(dom0.state()).toMatchObject({ disks, sessions })
    expect(await dom0.host.files.read(ELSEWHERE)).toBe(text)
    dom0.plant(LUN, { kind: 'file', text, mode: 0o600 })
    await detachLun(address, dom0)
    expect(dom0.leftovers()).toEqual([])
  })

  test.each([TARGET, RECORDS])('keeps sessions and records, if it is %s', async path => {
    const dom0 = createDom0()
    const text = await replaceNote(dom0, path, file)
    const { records, sessions } = dom0.state()
    expect(await rejection(attach(dom0, 1))).toMatchObject(refused(path))
    await expectTold(dom0, path, reason)
    expect(await rejection(detachLun(address, dom0))).toMatchObject({ code: 'DETACH_INCOMPLETE' })
    expect(dom0.state()).toMatchObject({ records, sessions, disks: [] })
    expect(await dom0.host.files.read(ELSEWHERE)).toBe(text)
    dom0.plant(path, { kind: 'file', text, mode: 0o600 })
    await detachLun(address, dom0)
    expect(dom0.leftovers()).toEqual([])
  })

  test('keeps a portal from being asked with credentials, if it is that of its discovery record', async () => {
    const dom0 = createDom0()
    dom0.plant(DISCOVERY, file)
    const chap = { username: 'guest', password: 'guests-secret-1' }
    const asked = attachLun({ ...address, discovery: '10.0.1.1:3260', chap }, dom0)
    expect(await rejection(asked)).toMatchObject(refused(DISCOVERY))
    await expectTold(dom0, DISCOVERY, reason)
    expect(dom0.state()).toMatchObject({ discoveries: [], records: [], sessions: [] })
  })
})

describe.each([LUN, TARGET, RECORDS])('a draft of %s that is a folder', path => {
  const draft = path.replace(/\/([^/]+)$/, '/.$1.draft')

  test('is told, and no error of Node’s', async () => {
    const dom0 = createDom0()
    await attach(dom0)
    dom0.plant(draft, { kind: 'directory' })
    await expectTold(dom0, draft, 'is no file but a folder')
    const failure = await rejection(detachLun(address, dom0))
    expect(failure).toMatchObject({ message: expect.stringContaining(`${draft} is no file but a folder`) })
    await dom0.host.files.removeDirectory(draft)
    await detachLun(address, dom0)
    expect(dom0.leftovers()).toEqual([])
  })
})

describe.each(['/run/xen-lun/luns', '/run/xen-lun/targets', '/var/lib/xen-lun/records'])('of %s', folder => {
  test.each<readonly [string, PlantedFile, string]>([
    ["somebody else's", { kind: 'directory', uid: 4242 }, 'belongs to user 4242'],
    ['open to all', { kind: 'directory', mode: 0o777 }, 'can be written by others (mode 777)'],
    ['a link', { kind: 'link', target: '/etc' }, 'is no folder but a symbolic link'],
  ])('%s no note is believed, and none is missing', async (_, file, reason) => {
    const dom0 = createDom0()
    await attach(dom0)
    const { sessions, disks, records } = dom0.state()
    dom0.plant(folder, file)
    const refused = { code: 'PATH_UNSAFE', details: { path: folder, reason } }
    expect(await rejection(attach(dom0, 1))).toMatchObject(refused)
    await expectTold(dom0, folder, reason)
    expect(await rejection(detachLun(address, dom0))).toMatchObject({
      message: expect.stringContaining(`${folder} ${reason}`),
    })
    expect(dom0.state()).toMatchObject({ sessions, records })
    if (folder.endsWith('/luns')) expect(dom0.state()).toMatchObject({ disks })
  })
})

test('an operation looks at a folder once, and once at each note', async () => {
  const dom0 = createDom0()
  const { files } = dom0.host
  const looks: string[] = []
  const counted: Files = {
    ...files,
    linkStat: async path => {
      looks.push(path)
      return await files.linkStat(path)
    },
  }
  const host = { ...dom0.host, files: counted }
  await attachLun({ ...address, portals: dom0.san.portals }, { host })
  const ofNotes = looks.filter(path => [LUN, TARGET, RECORDS].includes(path))
  // Before it is there, it is looked for.
  expect(ofNotes.length).toBeLessThan(15)
  looks.length = 0
  await attachLun({ ...address, lun: 1, portals: dom0.san.portals }, { host })
  for (const path of [TARGET, RECORDS]) expect(looks.filter(each => each === path)).toHaveLength(1)
  for (const folder of ['/run/xen-lun/luns', '/run/xen-lun/targets', '/var/lib/xen-lun/records']) {
    expect(looks.filter(each => each === folder).length).toBeLessThanOrEqual(2)
  }
})
