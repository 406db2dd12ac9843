import { describe, expect, test } from 'vitest'
import { attachLun, detachLun, isLunError } from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import { iqn } from '../../src/core/iqn.ts'
import { thisProcess } from '../../src/host/process-id.ts'
import { LUN_LOCKS, withLun } from '../../src/lun/locks.ts'
import { BACKEND, createDiskWorld, keysOf, run } from '../hotplug/disk.ts'
import { address, attach, backendPath, createDom0, disk, guest, rejection } from './helpers.ts'

/** Fits into the 15 bytes of a process' name: it clears a terminal, and begins a line of its own. */
const HOSTILE = '\u001b[2J\u0007\nfailed'
const SHOWN = '[2J failed'

/** No line of it is somebody else's, and no terminal obeys it. */
function expectPlain(error: unknown): void {
  expect(isLunError(error)).toBe(true)
  expect(String(error)).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u)
}

function deviceIn(dom0: SimulatedDom0): string {
  const [map] = dom0.state().maps
  return `/dev/mapper/${map?.name}`
}

describe('text of somebody else is cleaned before it is in an error:', () => {
  test('the name of a process that uses a LUN', async () => {
    const dom0 = createDom0()
    const { device } = await attach(dom0)
    dom0.openDevice(device, 4711, HOSTILE)
    const error = await rejection(detachLun(address, dom0))
    expectPlain(error)
    expect(error).toMatchObject({ code: 'LUN_IN_USE', details: { users: [{ name: `4711 ${SHOWN}` }] } })
  })

  test('the name of a domain that uses a LUN, or has its volume', async () => {
    const dom0 = createDom0()
    const { device } = await attach(dom0, 0, dom0, backendPath)
    dom0.xen.addDomain({ ...guest, name: HOSTILE })
    dom0.xen.addBackend({ ...disk, device }).connect()
    const [used, shared] = [
      await rejection(detachLun(address, { host: dom0.host, owner: backendPath })),
      await rejection(attachLun(address, { host: dom0.host, owner: 'backend/vbd/2/51712' })),
    ]
    for (const error of [used, shared]) expectPlain(error)
    expect(used).toMatchObject({ code: 'LUN_IN_USE', details: { users: [{ domain: SHOWN }] } })
    expect(shared).toMatchObject({ code: 'LUN_SHARED', details: { domain: SHOWN } })
  })

  test('the name of a process that has the lock', async () => {
    const dom0 = createDom0()
    const { files } = dom0.host
    const { device } = await attach(dom0)
    dom0.openDevice(device, 4711, HOSTILE)
    const [, start = ''] = /\) S (?:\S+ ){18}(\d+)/s.exec((await files.read('/proc/4711/stat')) ?? '') ?? []
    const { namespace } = await thisProcess(files)
    await files.replace(`${LUN_LOCKS}/${address.target},0`, `xen-lun 4711 ${start} ${namespace}\n`, 0o600)
    const error = await rejection(
      withLun(dom0.host, { target: iqn(address.target), lun: 0 }, { timeoutMs: 5000 }, async () => {})
    )
    expectPlain(error)
    expect(error).toMatchObject({ code: 'LOCK_TIMEOUT', message: expect.stringContaining(`(${SHOWN})`) })
  })
})

test('nor is it in a line of the log, or in what the toolstack prints', async () => {
  const { dom0, backend } = createDiskWorld()
  await run(dom0, 'add')
  backend.disconnect()
  dom0.openDevice(deviceIn(dom0), 2001, HOSTILE)
  const { exitCode, log } = await run(dom0, 'remove')
  expect(exitCode).toBe(1)
  for (const line of log) expect(line).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u)
  expect((await keysOf(dom0, BACKEND))['hotplug-error']).toContain(SHOWN)
})
