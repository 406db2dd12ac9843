import { expect, test } from 'vitest'
import { divide, usualTimeout } from '../../src/hotplug/budget.ts'
import { createMemoryFiles } from '../support/memory-files.ts'

const xen = (version: string) => {
  const [major = '', minor = '', patch = '0'] = version.split('.')
  const at = (name: string): string => `/sys/hypervisor/version/${name}`
  return createMemoryFiles({ files: { [at('major')]: major, [at('minor')]: minor, [at('extra')]: `.${patch}\n` } })
}

test.each([
  ['4.20', false, 32_000],
  ['4.20', true, 8000],
  ['4.6', false, 32_000],
  // libxl ends the script after 10 s there.
  ['4.5.5', false, 8000],
  ['4.2', false, 8000],
  ['4.2', true, 8000],
])('Xen %s, short %j: %d ms', async (version, isShort, expected) => {
  expect(await usualTimeout(xen(version), { isShort })).toBe(expected)
})

test('an unknown version is a recent one', async () => {
  expect(await usualTimeout(createMemoryFiles(), { isShort: false })).toBe(32_000)
})

test.each([
  [32_000, 0, { workMs: 26_000, stopMs: 30_000, reportMs: 2000 }],
  [32_000, 10_000, { workMs: 16_000, stopMs: 20_000, reportMs: 2000 }],
  [8000, 0, { workMs: 6500, stopMs: 7500, reportMs: 500 }],
  [2000, 0, { workMs: 1250, stopMs: 1500, reportMs: 500 }],
  // Nothing is left, and half a second makes no difference to whoever is about to kill it.
  [32_000, 31_000, { workMs: 500, stopMs: 500, reportMs: 2000 }],
  [32_000, 90_000, { workMs: 500, stopMs: 500, reportMs: 2000 }],
])('%d ms, of which %d are gone', (timeoutMs, spentMs, expected) => {
  expect(divide(timeoutMs, spentMs)).toEqual(expected)
})
