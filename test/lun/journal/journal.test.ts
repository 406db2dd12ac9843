import { describe, expect, test } from 'vitest'
import { iqn } from '../../../src/core/iqn.ts'
import { wwid } from '../../../src/core/wwid.ts'
import { createJournal, type Journal } from '../../../src/lun/journal/journal.ts'
import { createMemoryFiles, type MemoryFiles } from '../../support/memory-files.ts'

const target = iqn('iqn.2001-05.com.example:vm1')
const place = { target, lun: 0 }
const targetPath = `/run/xen-lun/targets/${target}.json`
const lunPath = `/run/xen-lun/luns/${target},0.json`
const BOOT = '/proc/sys/kernel/random/boot_id'
const keptPath = `/var/lib/xen-lun/records/${target}.json`
const empty = { intents: [], changes: [], logins: [], jobs: {} }

const booted = (files: Record<string, string> = {}) => createMemoryFiles({ files: { [BOOT]: 'boot-1\n', ...files } })

/** The journal as a process of the next boot has it. */
function reboot(files: MemoryFiles): Journal {
  files.contents.set(BOOT, 'boot-2\n')
  return createJournal(files)
}

describe('of a target', () => {
  test('the journal adds up, strikes out, and goes with the last note', async () => {
    const files = booted()
    const journal = createJournal(files)
    const job = await journal.job(5)
    await journal.noteIntents(target, ['10.0.0.1:3260 default'], { 'record a': job }, 5000)
    await journal.noteTarget(target, { logins: ['a', 'b'], jobs: { 'login a': job } })
    await journal.noteIntents(target, ['10.0.0.1:3260 default'], { 'login b': job }, 5000)
    const within = { sinceMs: 0, untilMs: 6000 }
    expect(await journal.target(target)).toEqual({
      ...empty,
      intents: [{ endpoint: '10.0.0.1:3260 default', within }],
      logins: ['a', 'b'],
      jobs: { 'record a': job, 'login a': job, 'login b': job },
    })
    expect([files.modes.get(targetPath), files.modes.get(keptPath)]).toEqual([0o600, 0o600])
    await journal.strikeTarget(target, { jobs: ['login a', 'record a'], logins: ['b'] })
    const made = { path: '/p', endpoint: '10.0.0.1:3260 default', former: new Map(), made: { inode: 1, mtimeMs: 2 } }
    await journal.noteMade(target, [made], { intents: ['10.0.0.1:3260 default'], jobs: ['record a'] })
    expect(await journal.target(target)).toEqual({ ...empty, changes: [made], logins: ['a'], jobs: { 'login b': job } })
    expect([await journal.hasTarget(target), await journal.targets()]).toEqual([true, [target]])
    await journal.forgetTarget(target)
    expect([files.contents.has(targetPath), files.contents.has(keptPath)]).toEqual([false, false])
    expect([await journal.hasTarget(target), await journal.targets()]).toEqual([false, []])
  })

  test('only the records outlive a boot', async () => {
    const files = booted()
    const journal = createJournal(files)
    const job = await journal.job(5)
    await journal.noteIntents(target, ['r'], { 'record r': job }, 5000)
    await journal.noteTarget(target, { logins: ['l'], jobs: { 'login l': job } })
    expect(await reboot(files).target(target)).toMatchObject({ ...empty, intents: [{ endpoint: 'r' }] })
  })

  test('a draft of one who was killed counts as a note, and goes with it', async () => {
    const draft = `/run/xen-lun/targets/.${target}.json.draft`
    const files = booted({ [draft]: '{' })
    const journal = createJournal(files)
    expect([await journal.hasTarget(target), await journal.targets()]).toEqual([true, [target]])
    await journal.forgetTarget(target)
    expect(files.contents.has(draft)).toBe(false)
  })

  test('what earlier versions noted is read: no version, records in /run, and no files of what was made', async () => {
    const text = JSON.stringify({
      bootId: 'boot-1',
      records: ['r'],
      logins: ['l'],
      discoveries: ['10.0.0.1'],
      jobs: {},
    })
    const change = { path: '/p', endpoint: 'e', former: { 'node.session.scan': { before: 'auto', ours: ['manual'] } } }
    const kept = JSON.stringify({ version: 1, records: ['k'], changes: [change] })
    const files = booted({ [targetPath]: text, [keptPath]: kept })
    const journal = createJournal(files)
    const intents = ['k', 'r', 'discovery 10.0.0.1'].map(endpoint => ({ endpoint }))
    const changes = [{ ...change, former: new Map(Object.entries(change.former)) }]
    expect(await journal.target(target)).toEqual({ ...empty, intents, changes, logins: ['l'] })
    expect(await journal.hasFormerNotes(target)).toBe(true)
    await journal.moveFormerNotes(target)
    expect(await journal.hasFormerNotes(target)).toBe(false)
    expect(files.contents.get(targetPath)).not.toContain('records')
    await journal.strikeTarget(target, { logins: ['l'] })
    expect(await journal.target(target)).toEqual({ ...empty, intents, changes })
    expect([files.contents.has(targetPath), files.contents.has(keptPath)]).toEqual([false, true])
    files.contents.set(BOOT, 'boot-2\n')
    expect((await journal.target(target)).intents).toEqual(intents)
  })

  test('what was changed in records is kept beyond a boot, with its first value and all of ours', async () => {
    const files = booted()
    const journal = createJournal(files)
    const change = { path: '/p', endpoint: 'e' }
    const former = (before: string, ours: string) => new Map([['node.session.scan', { before, ours: [ours] }]])
    await journal.noteChange(target, { ...change, former: former('auto', 'manual') })
    await journal.noteChange(target, { ...change, former: former('manual', 'off') })
    const both = new Map([['node.session.scan', { before: 'auto', ours: ['manual', 'off'] }]])
    expect((await reboot(files).target(target)).changes).toEqual([{ ...change, former: both }])
    // Somebody else has set it meanwhile.
    await journal.noteChange(target, { ...change, former: former('odd', 'manual') })
    expect((await journal.target(target)).changes).toEqual([{ ...change, former: former('odd', 'manual') }])
    expect([await journal.hasTarget(target), await journal.targets()]).toEqual([true, [target]])
    await journal.strikeTarget(target, { changes: ['/p'] })
    expect(files.contents.has(keptPath)).toBe(false)
  })

  test('a record that was made stays so when it is changed again, unless somebody else had changed it', async () => {
    const journal = createJournal(booted())
    const of = (before: string, ...ours: readonly string[]) => ({ before, ours })
    const change = { path: '/p', endpoint: 'e' }
    const made = {
      ...change,
      made: { inode: 1, mtimeMs: 2 },
      former: new Map([
        ['scan', of('auto', 'manual')],
        ['time', of('15', '5')],
      ]),
    }
    await journal.noteMade(target, [made], {})
    const secret = ['node.session.auth.password', of('', 'hush')] as const
    await journal.noteChange(target, { ...change, former: new Map([['time', of('5', '9')], secret]) })
    const later = {
      ...made,
      former: new Map([
        ['scan', of('auto', 'manual')],
        ['time', of('15', '5', '9')],
      ]),
    }
    // Never the secret itself, which is in the record and nowhere else.
    const lent = { former: new Map(), traces: [expect.not.stringContaining('hush')] }
    expect((await journal.target(target)).changes).toEqual([{ ...later, lent }])
    const theirs = {
      ...change,
      former: new Map([
        ['scan', of('auto', 'manual')],
        ['time', of('77', '9')],
      ]),
    }
    await journal.noteChange(target, theirs)
    expect((await journal.target(target)).changes).toEqual([{ ...theirs, lent }])
    await journal.noteMade(target, [made], {})
    expect((await journal.target(target)).changes).toEqual([made])
  })

  const unreadable = [
    '',
    '{',
    'null',
    '[]',
    '{}',
    '{"bootId":"boot-1","records":[1]}',
    '{"bootId":"boot-1","logins":"x"}',
    '{"bootId":"boot-1","jobs":{"a":1}}',
    '{"bootId":"boot-1","discoveries":["?"]}',
    '{"bootId":"boot-1","version":2}',
  ]
  test.each([
    ...unreadable.map(text => [targetPath, text]),
    ...[
      '',
      '{',
      '[]',
      '{}',
      '{"records":[],"changes":[{}]}',
      '{"version":2}',
      '{"version":3,"intents":[],"changes":[]}',
    ].map(text => [keptPath, text]),
    [keptPath, '{"version":2,"intents":[{}],"changes":[]}'],
    [keptPath, '{"version":2,"intents":[],"changes":[{"path":"/p","endpoint":"e","former":{},"made":1}]}'],
  ])('of %s nothing is known, and nothing is written over it: %s', async (path, text) => {
    const files = booted({ [path]: text })
    const journal = createJournal(files)
    const refused = { code: 'JOURNAL_UNREADABLE', details: { path } }
    await expect(journal.target(target)).rejects.toMatchObject(refused)
    await expect(journal.noteTarget(target, { logins: ['l'] })).rejects.toMatchObject(refused)
    await expect(journal.strikeTarget(target, { logins: ['l'] })).rejects.toMatchObject(refused)
    await expect(journal.forgetTarget(target)).rejects.toMatchObject(refused)
    expect(await journal.tryTarget(target)).toMatchObject({ path })
    expect(await journal.unreadable()).toMatchObject([{ path }])
    expect(files.contents.get(path)).toBe(text)
  })
})

describe('of a LUN', () => {
  test('it has owners, and goes with the last one', async () => {
    const files = booted()
    const journal = createJournal(files)
    expect(await journal.lun(place)).toBeUndefined()
    await journal.noteOwner(place, 'a', 'attaching')
    await journal.noteWwid(place, wwid('3600a'))
    await journal.noteOwner(place, 'a', 'attached')
    await journal.noteOwner(place, 'b', 'attached')
    expect(await journal.lun(place)).toMatchObject({
      wwid: '3600a',
      owners: new Map([
        ['a', { state: 'attached' }],
        ['b', { state: 'attached' }],
      ]),
    })
    expect(files.modes.get(lunPath)).toBe(0o600)
    await journal.dropOwners(place, ['a'])
    await journal.dropOwners(place, ['unknown'])
    expect(await namesIn(journal)).toEqual(['b'])
    await journal.dropOwners(place, ['b'])
    expect(files.contents.has(lunPath)).toBe(false)
  })

  test('LUN 1 is not LUN 10, nor is a target one whose name begins alike', async () => {
    const journal = createJournal(booted())
    const other = iqn(`${target}1`)
    await journal.noteOwner({ target, lun: 10 }, 'a', 'attached')
    await journal.noteOwner({ target: other, lun: 1 }, 'b', 'attached')
    expect(await journal.lun({ target, lun: 1 })).toBeUndefined()
    const found = new Set((await journal.luns()).map(({ target: of, lun, isStale }) => `${of} ${lun} ${isStale}`))
    expect(found).toEqual(new Set([`${target} 10 false`, `${other} 1 false`]))
  })

  test('after a boot nobody holds it, but its entry is still listed', async () => {
    const files = booted()
    const journal = createJournal(files)
    await journal.noteOwner(place, 'a', 'attached')
    const after = reboot(files)
    expect(await after.lun(place)).toBeUndefined()
    expect(await after.luns()).toMatchObject([{ ...place, isStale: true, entry: { owners: new Map([['a', {}]]) } }])
  })

  test('a hold may end by itself, and take the place of an owner', async () => {
    const journal = createJournal(booted())
    const expiry = { kind: 'prewarm', untilMs: 5 } as const
    await journal.noteOwner(place, 'a', 'attached', expiry)
    expect((await journal.lun(place))?.owners).toMatchObject(new Map([['a', { expiry }]]))
    await journal.noteOwner(place, 'a', 'attached')
    await journal.noteOwner(place, 'b', 'attached')
    expect((await journal.lun(place))?.owners.get('a')).not.toHaveProperty('expiry')
    await journal.replaceOwner(place, 'b', 'linger:b', { kind: 'linger', untilMs: 6 })
    expect(await namesIn(journal)).toEqual(['a', 'linger:b'])
  })

  const owned = (more: string): string =>
    `{"bootId":"boot-1","owners":{"a":{"state":"attached","process":"1 2 3"${more}}}}`

  test('what the version before noted, without a version, is read', async () => {
    const journal = createJournal(booted({ [lunPath]: owned('') }))
    expect(await namesIn(journal)).toEqual(['a'])
    await journal.noteOwner(place, 'b', 'attached')
    expect(await namesIn(journal)).toEqual(['a', 'b'])
  })

  test.each([
    '',
    '{',
    '7',
    '{}',
    '{"bootId":"boot-1"}',
    '{"bootId":"","owners":{}}',
    '{"owners":{}}',
    '{"bootId":"boot-1","wwid":7,"owners":{}}',
    '{"bootId":"boot-1","owners":{"a":{"state":"odd","process":"1 2 3"}}}',
    '{"bootId":"boot-1","owners":{"a":1}}',
    '{"bootId":"boot-1","owners":{"":{"state":"attached","process":"1 2 3"}}}',
    '{"bootId":"boot-1","version":2,"owners":{}}',
    '{"bootId":"boot-0","version":2,"owners":{}}',
    ...['{"kind":"odd","untilMs":5}', '{"kind":"linger"}', '{"kind":"linger","untilMs":1e999}', 'null', '7'].map(
      expiry => owned(`,"expiry":${expiry}`)
    ),
  ])('what cannot be read is held by somebody unknown, and is not written over: %s', async text => {
    const files = booted({ [lunPath]: text })
    const journal = createJournal(files)
    const refused = { code: 'JOURNAL_UNREADABLE', details: { path: lunPath } }
    await expect(journal.lun(place)).rejects.toMatchObject(refused)
    await expect(journal.noteOwner(place, 'a', 'attached')).rejects.toMatchObject(refused)
    await expect(journal.noteWwid(place, wwid('3600a'))).rejects.toMatchObject(refused)
    await expect(journal.dropOwners(place, ['a'])).rejects.toMatchObject(refused)
    await expect(journal.forgetLun(place)).rejects.toMatchObject(refused)
    expect(await journal.luns()).toEqual([{ ...place, entry: undefined, isStale: false }])
    expect(await journal.unreadable()).toMatchObject([{ path: lunPath }])
    expect(files.contents.get(lunPath)).toBe(text)
  })

  test('a file that is named after no LUN is told of', async () => {
    const path = '/run/xen-lun/luns/odd'
    expect(await createJournal(booted({ [path]: '' })).unreadable()).toMatchObject([{ path }])
  })

  test('without the id of this boot nothing is known', async () => {
    const journal = createJournal(createMemoryFiles({ files: { [lunPath]: owned('') } }))
    await expect(journal.lun(place)).rejects.toMatchObject({ code: 'JOURNAL_UNREADABLE' })
  })

  test.each(['constructor', '__proto__', 'toString', 'hasOwnProperty'])('%s is a name like any other', async name => {
    const journal = createJournal(booted())
    await journal.noteOwner(place, 'a', 'attached')
    expect((await journal.lun(place))?.owners.get(name)).toBeUndefined()
    await journal.noteOwner(place, name, 'attached')
    expect(await namesIn(journal)).toEqual(['a', name])
    await journal.dropOwners(place, ['a'])
    expect(await namesIn(journal)).toEqual([name])
    await journal.dropOwners(place, [name])
    expect(await journal.lun(place)).toBeUndefined()
  })
})

async function namesIn(journal: ReturnType<typeof createJournal>): Promise<readonly string[]> {
  return [...((await journal.lun(place))?.owners.keys() ?? [])]
}
