import { describe, expect, test } from 'vitest'
import { isLunError } from '../../src/core/error.ts'
import { Secret } from '../../src/core/secret.ts'
import type { Host } from '../../src/host/host.ts'
import { attachLun } from '../../src/lun/attach.ts'
import { detachLun } from '../../src/lun/detach.ts'
import { type AttachRequest, checkAttachRequest } from '../../src/lun/request.ts'
import { resizeLun } from '../../src/lun/resize.ts'

const target = 'iqn.2001-05.com.example:vm1'
const MEGABYTE = 'a'.repeat(1 << 20)

// A host on which every touch is a failure of the test.
const untouchable = new Proxy<Host>(
  {
    get executor(): never {
      throw new Error('touched')
    },
    get files(): never {
      throw new Error('touched')
    },
    get clock(): never {
      throw new Error('touched')
    },
    get locks(): never {
      throw new Error('touched')
    },
  },
  {}
)

async function refusedField(run: Promise<unknown>): Promise<string> {
  const error: unknown = await run.catch((e: unknown) => e)
  return isLunError(error, 'INVALID_INPUT') ? error.details.field : String(error)
}

const bad: readonly (readonly [field: string, request: Record<string, unknown>])[] = [
  ['target', { target: 'vm1' }],
  ['target', { target: '-x' }],
  ['target', { target: 'iqn.2001-05.com.example:../../etc/passwd' }],
  ['target', { target: 'iqn.2001-05.com.example:a\0' }],
  ['target', { target: MEGABYTE }],
  ['target', { target: undefined }],
  ['lun', { lun: -1 }],
  ['lun', { lun: 16_384 }],
  ['lun', { lun: '0' }],
  ['portals', { portals: [] }],
  ['portals', { portals: '10.0.0.1' }],
  ['portals[1]', { portals: ['10.0.0.1', '--portal'] }],
  ['portals[0]', { portals: [MEGABYTE] }],
  ['discovery', { discovery: '10.0.0.1;reboot' }],
  ['discovery', { portals: ['10.0.0.1'], discovery: '10.0.0.1' }],
  ['ifaces', { ifaces: [] }],
  ['ifaces[0]', { ifaces: ['../default'] }],
  ['ifaces[0]', { ifaces: ['-I'] }],
  ['chap.username', { chap: { username: '', password: 'x' } }],
  ['chap.password', { chap: { username: 'u', password: 'a\nnode.startup = automatic' } }],
  ['chap.mutual.password', { chap: { username: 'u', password: 'x', mutual: { username: 'v', password: '' } } }],
  ['multipath', { multipath: 'maybe' }],
  ['paths', { multipath: 'never', paths: { min: 2 } }],
  ['paths.min', { paths: { min: 0 } }],
  ['paths.wanted', { paths: { min: 2, wanted: 1 } }],
  ['expected.wwid', { expected: { wwid: '-w' } }],
  ['expected.serial', { expected: { serial: 'a\nb' } }],
  ['expected.sizeBytes', { expected: { sizeBytes: 0 } }],
  ['loginTimeoutMs', { loginTimeoutMs: 1 }],
]

describe('bad input is refused before the host is touched, naming the field', () => {
  test.each(bad)('%s %#', async (field, fields) => {
    const request = { target, portals: ['10.0.0.1'], ...fields } as unknown as AttachRequest
    if ('discovery' in fields && !('portals' in fields)) delete (request as { portals?: unknown }).portals
    expect(await refusedField(attachLun(request, { host: untouchable }))).toBe(field)
  })

  test('by detachLun and resizeLun as well', async () => {
    for (const operation of [detachLun, resizeLun]) {
      expect(await refusedField(operation({ target: '../x' }, { host: untouchable }))).toBe('target')
      expect(await refusedField(operation({ target, lun: 1.5 }, { host: untouchable }))).toBe('lun')
    }
  })

  test('no message or detail shows a password', async () => {
    const request = { target, chap: { username: 'u', password: 'hunter2\n' } }
    const error: unknown = await attachLun(request, { host: untouchable }).catch((e: unknown) => e)
    expect(error instanceof Error && `${error.stack}${JSON.stringify(error)}`).not.toContain('hunter2')
  })
})

test('defaults: LUN 0, all paths wanted, one enough, a map required', () => {
  expect(checkAttachRequest({ target, portals: ['10.0.0.1', '10.0.0.1:3260', 'FD00::1'] })).toEqual({
    target,
    lun: 0,
    sharing: 'refused',
    source: {
      kind: 'given',
      portals: [
        { host: '10.0.0.1', port: 3260 },
        { host: 'fd00::1', port: 3260 },
      ],
    },
    ifaces: undefined,
    chap: undefined,
    multipath: 'required',
    paths: { wanted: undefined, min: 1, graceMs: 500, lateMs: 120_000 },
    expected: {},
    loginTimeoutMs: 5000,
  })
})

test('a password is wrapped at once', () => {
  const { chap } = checkAttachRequest({ target, chap: { username: 'u', password: 'hunter2' } })
  expect(chap?.password).toBeInstanceOf(Secret)
  expect(JSON.stringify(chap)).not.toContain('hunter2')
})
