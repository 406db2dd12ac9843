import fc from 'fast-check'
import { expect, test } from 'vitest'
import { openCounts } from '../../src/block/dm.commands.ts'
import { isLunError } from '../../src/core/error.ts'

const decode = (stdout: string, exitCode = 0): unknown => openCounts().decode({ exitCode, stdout, stderr: '' })

test('dmsetup counts by number, whatever a device is called', () => {
  expect(decode('253:0:1\n253:12:0\n')).toEqual(
    new Map([
      ['253:0', 1],
      ['253:12', 0],
    ])
  )
  expect(decode('No devices found\n')).toEqual(new Map())
  expect(() => decode('253:0\n')).toThrow(expect.objectContaining({ code: 'UNEXPECTED_OUTPUT' }))
  expect(() => decode('', 1)).toThrow(expect.objectContaining({ code: 'COMMAND_FAILED' }))
})

test('anything else is counts or an error', () => {
  fc.assert(
    fc.property(fc.string(), text => {
      try {
        expect(decode(text)).toBeInstanceOf(Map)
      } catch (error) {
        expect(isLunError(error, 'UNEXPECTED_OUTPUT')).toBe(true)
      }
    })
  )
})
