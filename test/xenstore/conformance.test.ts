import { describe, expect, it } from 'vitest'
import { createNodeClock } from '../../src/host/node-clock.ts'
import { createSimulatedDom0 } from '../../src/testing/dom0/dom0.ts'
import type { Xenstore } from '../../src/xenstore/types.ts'
import { createXenstore } from '../../src/xenstore/xenstore.ts'
import { xenstoreCases } from '../scenarios/xenstore-cases.ts'
import { createClient, startDaemon } from './daemon.ts'

const root = '/local/domain/0/xen-lun-test'

describe('xenstore over a real socket', () => {
  it.each(xenstoreCases)('$name', async ({ run }) => {
    const { path, model } = await startDaemon()
    const before = [...model.values.keys()]
    const [xenstore, other] = [createClient(path), createClient(path)]
    await run({ xenstore, other, root, clock: createNodeClock() })
    await xenstore.rm(root)
    expect([...model.values.keys()]).toEqual(before)
  })
})

const refused: readonly (readonly [string, (xenstore: Xenstore) => Promise<unknown>])[] = [
  ['mkdir', async xenstore => await xenstore.mkdir(root)],
  ['getPermissions', async xenstore => await xenstore.getPermissions(root)],
  ['watch', async xenstore => await xenstore.watch(root)[Symbol.asyncIterator]().next()],
  ['a read in a transaction', async xenstore => await xenstore.transaction(async tx => await tx.tryRead(root))],
  ['a removal in a transaction', async xenstore => await xenstore.transaction(async tx => await tx.rm(root))],
]

describe('xenstore by commands', () => {
  it.each(xenstoreCases.filter(({ needsSocket }) => needsSocket !== true))('$name', async ({ run }) => {
    const { host } = createSimulatedDom0()
    const xenstore = createXenstore(host, { transport: 'commands' })
    await run({ xenstore, other: createXenstore(host, { transport: 'commands' }), root, clock: host.clock })
    await xenstore.rm(root)
    expect(await xenstore.exists(root)).toBe(false)
  })

  it.each(refused)('refuses at once, without a process: %s', async (_, call) => {
    const { host, started } = createSimulatedDom0()
    const xenstore = createXenstore(host, { transport: 'commands' })
    await expect(call(xenstore)).rejects.toMatchObject({
      code: 'XENSTORE_UNAVAILABLE',
      message: expect.stringContaining('needs the socket'),
    })
    expect(started).toEqual([])
  })

  it('sets permissions, and tells what is not there', async () => {
    const dom0 = createSimulatedDom0()
    const [commands, native] = [{ transport: 'commands' } as const, { transport: 'native' } as const]
    const permissions = { owner: 0, others: 'read', access: { 3: 'write' } } as const
    const path = '/local/domain/0/name'
    await createXenstore(dom0.host, commands).setPermissions(path, permissions)
    expect(dom0.started).toEqual([`xenstore-chmod -- ${path} r0 w3`])
    expect(await createXenstore(dom0.host, native).getPermissions(path)).toEqual(permissions)
    const missing = createXenstore(dom0.host, commands).setPermissions('none', permissions)
    await expect(missing).rejects.toMatchObject({ code: 'XENSTORE_NOT_FOUND', details: { path: 'none' } })
  })
})
