import { expect, test } from 'vitest'
import { failureLine } from '../../src/hotplug/failure-line.ts'

const NAME = 'iqn.2001-05.com.equallogic:0-8a0906-23fe93404-c82797962054a96d-examplehost'

test.each([
  [new Error('LUN 3 is not there'), 'LUN 3 is not there [op]'],
  ['just text', 'just text [op]'],
  [undefined, 'undefined [op]'],
  [new Error('two\nlines\r\n\tand \u001b[31mcolour'), 'two lines and  [31mcolour [op]'],
  [new Error(' café … '), 'caf [op]'],
  [new Error(`${NAME} is short enough`), `${NAME} is short enough [op]`],
])('%j', (error, line) => {
  expect(failureLine(error, 'op')).toBe(line)
})

test('shortens names before what went wrong', () => {
  const line = failureLine(new Error(`${NAME} at 10.0.1.1, ${NAME} at 10.0.2.1, ${NAME}: every portal refused`), 'op')
  expect(line).toMatch(/^iqn\.2001-05\.com\.{4}\S{16} at 10\.0\.1\.1, .*: every portal refused \[op\]$/)
})

test('is cut to 256 bytes, and keeps its id', () => {
  const line = failureLine(new Error('x'.repeat(1000)), '4711-abc')
  expect(line).toHaveLength(256)
  expect(line).toMatch(/x\.\.\. \[4711-abc\]$/)
})
