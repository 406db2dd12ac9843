import { expect, test } from 'vitest'
import { iqn } from '../../src/core/iqn.ts'
import { createLedger } from '../../src/lun/ledger.ts'
import { createMemoryFiles } from '../../src/testing/memory-files.ts'

const target = iqn('iqn.2001-05.com.example:vm1')
const path = `/run/xen-lun/targets/${target}.json`

test('the ledger adds up, strikes out a LUN, and goes with the last one', async () => {
  const files = createMemoryFiles()
  const ledger = createLedger(files)
  await ledger.note(target, { records: ['10.0.0.1:3260 default'], logins: ['10.0.0.1:3260 default'] })
  await ledger.note(target, { wwids: { 0: '3600a' } })
  await ledger.note(target, { wwids: { 1: '3600b' }, records: ['10.0.0.1:3260 default'], jobs: { 'login a': 5 } })
  expect(await ledger.read(target)).toEqual({
    records: ['10.0.0.1:3260 default'],
    logins: ['10.0.0.1:3260 default'],
    wwids: { 0: '3600a', 1: '3600b' },
    jobs: { 'login a': 5 },
    discoveries: [],
  })
  expect(files.modes.get(path)).toBe(0o600)
  await ledger.settle(target, 0, { isEnded: false })
  expect(await ledger.read(target)).toMatchObject({ records: ['10.0.0.1:3260 default'], wwids: { 1: '3600b' } })
  await ledger.settle(target, 1, { isEnded: true })
  expect(files.contents.has(path)).toBe(false)
})

test.each([['{'], ['null'], ['[]'], ['{"records":[1],"logins":"x","wwids":[null]}']])(
  'a damaged ledger claims nothing as ours: %s',
  async text => {
    const ledger = createLedger(createMemoryFiles({ files: { [path]: text } }))
    expect(await ledger.read(target)).toEqual({ records: [], logins: [], wwids: {}, jobs: {}, discoveries: [] })
  }
)
