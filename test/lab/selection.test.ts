import { expect, test } from 'vitest'
import { listing, matching, named, usual } from '../../lab/selection.ts'

const long = { name: 'attach-long', about: 'takes long', isLong: true } as const
const attach = { name: 'attach', about: 'an attach' }
const attachTwo = { name: 'attach-two', about: 'two of them' }
const tight = { name: 'tight', about: 'is close to a limit', isLong: true, isTight: true } as const
const all = [long, attach, attachTwo]

const names = (found: readonly { readonly name: string }[]) => found.map(({ name }) => name)

test('a whole name is that scenario, and else the beginning of several', () => {
  expect(names(matching(all, 'attach'))).toEqual(['attach'])
  expect(names(matching(all, 'attach-'))).toEqual(['attach-long', 'attach-two'])
  expect(matching(all, 'detach')).toEqual([])
})

test('named ones come in the order in which they run', () => {
  expect(names(named(all, ['attach-two', 'attach-long']))).toEqual(['attach-long', 'attach-two'])
  expect(() => named(all, ['attach', 'attach-'])).toThrow('no scenario attach-')
})

test('long ones run when wanted, tight ones only by name', () => {
  expect(names(usual([...all, tight], { withLong: false }))).toEqual(['attach', 'attach-two'])
  expect(names(usual([...all, tight], { withLong: true }))).toEqual(['attach-long', 'attach', 'attach-two'])
  expect(names(matching([...all, tight], 'tight'))).toEqual(['tight'])
})

test('the list says which are long', () => {
  expect(listing([...all, tight]).split('\n')).toEqual([
    'attach-long  (long) takes long',
    'attach       an attach',
    'attach-two   two of them',
    'tight        (only by name) is close to a limit',
  ])
})
