import fc from 'fast-check'
import { expect, test } from 'vitest'
import { logEntry } from '../../src/hotplug/process/logs.ts'

test('an entry of the log is one line, whatever is in it', () => {
  expect(logEntry('4711-x', 'failed: \u001b]0;x\u0007a\r\nb\u2028c  d\n')).toBe('[4711-x] failed:  ]0;x a b c  d\n')
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 500 }), text => {
      const entry = logEntry('1-a', text)
      expect(entry.slice(0, -1)).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u)
      expect(entry.endsWith('\n')).toBe(true)
    })
  )
})
