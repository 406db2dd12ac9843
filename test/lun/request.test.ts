import { describe, expect, test } from 'vitest'
import {
  type AttachOptions,
  type AttachRequest,
  attachLun,
  type BackendRequest,
  type CooldownOptions,
  completePaths,
  cooldown,
  detachLun,
  doctor,
  type Host,
  isLunError,
  listAttachments,
  type PrewarmOptions,
  prewarm,
  reconcile,
  releaseExpired,
  releaseOwner,
  resizeLun,
  Secret,
  verifyLun,
  waitForBackend,
} from 'xen-lun'
import { checkAttachRequest } from '../../src/lun/request.ts'

const target = 'iqn.2001-05.com.example:vm1'
const MEGABYTE = 'a'.repeat(1 << 20)

const VERBS = [attachLun, detachLun, resizeLun, verifyLun, completePaths]

/** Every public call that has options. */
function calls(options: PrewarmOptions): readonly (() => Promise<unknown>)[] {
  const disk = { domid: 1, vdev: 'xvda' }
  return [
    ...VERBS.map(verb => async () => await verb({ target }, options)),
    async () => await prewarm({ target }, options),
    async () => await cooldown({ target }, options),
    async () => await reconcile(options),
    async () => await releaseExpired(options),
    async () => await releaseOwner('a', options),
    async () => await listAttachments(options),
    async () => await waitForBackend(disk, options),
    async () => await doctor(options),
  ]
}

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
  ['loginTimeoutMs', { loginTimeoutMs: 2 ** 31 }],
  ['lun', { lun: null }],
  ['paths', { paths: null }],
  ['paths', { paths: [2] }],
  ['paths.min', { paths: { min: null } }],
  ['paths.graceMs', { paths: { graceMs: Number.POSITIVE_INFINITY } }],
  ['paths.lateMs', { paths: { lateMs: '1000' } }],
  ['expected', { expected: null }],
  ['expected', { expected: 'v0' }],
  ['chap', { chap: null }],
  ['chap', { chap: 'user:password' }],
  ['chap.password', { chap: { username: 'u', password: null } }],
  ['chap.mutual', { chap: { username: 'u', password: 'x', mutual: null } }],
  ['multipath', { multipath: null }],
  ['sharing', { sharing: null }],
  // Lists with a gap.
  ['portals[0]', { portals: Object.assign([], { 1: '10.0.0.1' }) }],
  ['ifaces[1]', { ifaces: Object.assign([], { 0: 'default', length: 2 }) }],
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

  test.each([null, undefined, 'vm1', 7, [{ target }]])('a request that is %j', async request => {
    for (const operation of VERBS) {
      expect(await refusedField(operation(request as unknown as AttachRequest, { host: untouchable }))).toBe('request')
    }
    const disk = request as unknown as BackendRequest
    expect(await refusedField(waitForBackend(disk, { host: untouchable }))).toBe('request')
  })

  test.each([null, 'vm1', 7, []])('options that are %j', async nonsense => {
    const options = nonsense as unknown as PrewarmOptions
    for (const call of calls(options)) expect(await refusedField(call())).toBe('options')
  })

  const times = [Number.POSITIVE_INFINITY, Number.NaN, 2 ** 31, 0, -1, '5000', null]
  test.each(times)('a timeoutMs of %s', async timeoutMs => {
    const options = { host: untouchable, owner: 'a', ttlMs: 1000, timeoutMs } as unknown as PrewarmOptions
    for (const call of calls(options)) expect(await refusedField(call())).toBe('timeoutMs')
  })

  test.each(times)('an undoTimeoutMs of %s', async undoTimeoutMs => {
    const options = { host: untouchable, undoTimeoutMs } as unknown as AttachOptions
    expect(await refusedField(attachLun({ target }, options))).toBe('undoTimeoutMs')
  })

  test.each(times.filter(time => time !== 0))('a busyMs of %s', async busyMs => {
    const options = { host: untouchable, owner: 'a', busyMs } as unknown as CooldownOptions
    for (const call of [detachLun, cooldown]) expect(await refusedField(call({ target }, options))).toBe('busyMs')
    expect(await refusedField(releaseOwner('a', options))).toBe('busyMs')
  })

  test.each([
    ['signal', { signal: {} }],
    ['onEvent', { onEvent: 'print' }],
    ['handOver', { handOver: {} }],
    ['force', { force: 'false' }],
    ['apply', { apply: 'false' }],
    ['host', { host: null }],
  ])('a %s that is none', async (field, fields) => {
    const options = { host: untouchable, ...fields } as unknown as AttachOptions
    for (const call of [
      async () => await attachLun({ target }, options),
      async () => await detachLun({ target }, options),
    ])
      expect(await refusedField(call())).toBe(field)
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
