import { expect, test } from 'vitest'
import { compare } from '../../lab/comparison.ts'

const shared = { name: 'attach' }
const guest = { name: 'guest', onlyOnDom0: 'it takes a guest' }
const result = (name: string, ok: boolean) => ({ name, ok, seconds: 1 })

test('both sides are set side by side', () => {
  const { table, disagreements } = compare([shared, guest], [result('attach', true), result('guest', true)], {
    attach: 'ok',
  })
  expect(table.split('\n')).toEqual([
    'scenario  simulation  dom0',
    'attach    ok          ok',
    'guest     -           ok    it takes a guest',
  ])
  expect(disagreements).toEqual([])
})

test.each([
  ['only dom0 passes', true, { attach: 'Error: no' }, ['attach']],
  ['only the simulation passes', false, { attach: 'ok' }, ['attach']],
  ['both fail', false, { attach: 'Error: no' }, []],
  ['the simulation left it out', true, {}, ['attach']],
])('%s', (_, ok, verdicts, expected) => {
  expect(compare([shared], [result('attach', ok)], verdicts).disagreements).toEqual(expected)
})
