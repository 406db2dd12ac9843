import { describe, expect, test } from 'vitest'
import { iqn } from '../../../src/core/iqn.ts'
import { wwid } from '../../../src/core/wwid.ts'
import { createJournal } from '../../../src/lun/journal/journal.ts'
import { createMemoryFiles } from '../../support/memory-files.ts'

const target = iqn('iqn.2001-05.com.example:vm1')
const place = { target, lun: 0 }
const targetPath = `/run/xen-lun/targets/${target}.json`
const lunPath = `/run/xen-lun/luns/${target},0.json`
const BOOT = '/proc/sys/kernel/random/boot_id'
const empty = { records: [], logins: [], jobs: {}, discoveries: [] }

const booted = (files: Record<string, string> = {}) => createMemoryFiles({ files: { [BOOT]: 'boot-1\n', ...files } })

describe('of a target', () => {
  test('the journal adds up, strikes out, and goes with the last note', async () => {
    const files = booted()
    const journal = createJournal(files)
    const job = await journal.job(5)
    await journal.noteTarget(target, { records: ['10.0.0.1:3260 default'], logins: ['a', 'b'] })
    await journal.noteTarget(target, { records: ['10.0.0.1:3260 default'], jobs: { 'login a': job } })
    await journal.noteTarget(target, { jobs: { 'login b': job }, discoveries: ['10.0.0.1:3260'] })
    expect(await journal.target(target)).toEqual({
      records: ['10.0.0.1:3260 default'],
      logins: ['a', 'b'],
      jobs: { 'login a': job, 'login b': job },
      discoveries: ['10.0.0.1:3260'],
    })
    expect(files.modes.get(targetPath)).toBe(0o600)
    await journal.strikeTarget(target, { jobs: ['login a'], logins: ['b'], discoveries: ['10.0.0.1:3260'] })
    expect(await journal.target(target)).toEqual({
      records: ['10.0.0.1:3260 default'],
      logins: ['a'],
      jobs: { 'login b': job },
      discoveries: [],
    })
    expect([await journal.hasTarget(target), await journal.targets()]).toEqual([true, [target]])
    await journal.forgetTarget(target)
    expect(files.contents.has(targetPath)).toBe(false)
    expect([await journal.hasTarget(target), await journal.targets()]).toEqual([false, []])
  })

  test('only the records outlive a boot', async () => {
    const files = booted()
    const journal = createJournal(files)
    const job = await journal.job(5)
    await journal.noteTarget(target, {
      records: ['r'],
      logins: ['l'],
      jobs: { 'login l': job },
      discoveries: ['10.0.0.1'],
    })
    files.contents.set(BOOT, 'boot-2\n')
    expect(await journal.target(target)).toEqual({ ...empty, records: ['r'] })
  })

  test('a draft of one who was killed counts as a note, and goes with it', async () => {
    const draft = `/run/xen-lun/targets/.${target}.json.draft`
    const files = booted({ [draft]: '{' })
    const journal = createJournal(files)
    expect([await journal.hasTarget(target), await journal.targets()]).toEqual([true, [target]])
    await journal.forgetTarget(target)
    expect(files.contents.has(draft)).toBe(false)
  })

  test.each([
    ['{'],
    ['null'],
    ['[]'],
    ['{"bootId":"boot-1","records":[1],"logins":"x","jobs":{"a":1},"discoveries":["?"]}'],
  ])('what is damaged claims nothing as ours: %s', async text => {
    expect(await createJournal(booted({ [targetPath]: text })).target(target)).toEqual(empty)
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
      owners: { a: { state: 'attached' }, b: { state: 'attached' } },
    })
    expect(files.modes.get(lunPath)).toBe(0o600)
    await journal.dropOwners(place, ['a'])
    await journal.dropOwners(place, ['unknown'])
    expect(Object.keys((await journal.lun(place))?.owners ?? {})).toEqual(['b'])
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
    files.contents.set(BOOT, 'boot-2\n')
    expect(await journal.lun(place)).toBeUndefined()
    expect(await journal.luns()).toMatchObject([{ ...place, isStale: true, entry: { owners: { a: {} } } }])
  })

  test('a hold may end by itself, and take the place of an owner', async () => {
    const journal = createJournal(booted())
    const expiry = { kind: 'prewarm', untilMs: 5 } as const
    await journal.noteOwner(place, 'a', 'attached', expiry)
    expect((await journal.lun(place))?.owners).toMatchObject({ a: { expiry } })
    await journal.noteOwner(place, 'a', 'attached')
    await journal.noteOwner(place, 'b', 'attached')
    expect((await journal.lun(place))?.owners['a']).not.toHaveProperty('expiry')
    await journal.replaceOwner(place, 'b', 'linger:b', { kind: 'linger', untilMs: 6 })
    expect(Object.keys((await journal.lun(place))?.owners ?? {})).toEqual(['a', 'linger:b'])
  })

  test.each(['{"kind":"odd","untilMs":5}', '{"kind":"linger"}', '{"kind":"linger","untilMs":1e999}', 'null', '7'])(
    'an owner whose end is damaged is none: %s',
    async expiry => {
      const text = `{"bootId":"boot-1","owners":{"a":{"state":"attached","process":"1 2 3","expiry":${expiry}}}}`
      expect((await createJournal(booted({ [lunPath]: text })).lun(place))?.owners).toEqual({})
    }
  )

  test.each([['{'], ['7'], ['{"bootId":"boot-1","wwid":7,"owners":{"a":{"state":"odd","process":"1 2 3"},"b":1}}']])(
    'what is damaged names no owner: %s',
    async text => {
      const journal = createJournal(booted({ [lunPath]: text }))
      expect((await journal.luns())[0]?.entry).toEqual({ wwid: undefined, owners: {} })
    }
  )
})
