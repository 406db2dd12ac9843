import { describe, expect, test } from 'vitest'
import { cooldown, detachLun, listAttachments, prewarm, reconcile, releaseOwner } from 'xen-lun'
import { address, attach, createDom0, target } from './helpers.ts'

/** What every object answers to. */
describe.each(['constructor', '__proto__', 'toString', 'valueOf', 'hasOwnProperty'])('an owner called %s', owner => {
  test('holds nothing that it did not attach', async () => {
    const dom0 = createDom0()
    await attach(dom0, 0, dom0, 'guest')
    await prewarm({ target, lun: 1, portals: dom0.san.portals }, { ...dom0, owner: 'migration', ttlMs: 1000 })
    await dom0.host.clock.sleep(2000)
    const before = dom0.state()
    expect(await detachLun(address, { ...dom0, owner })).toMatchObject({ outcome: 'already-detached' })
    expect(await releaseOwner(owner, dom0)).toEqual([])
    expect(await cooldown({ target, lun: 1 }, { ...dom0, owner })).toMatchObject({ outcome: 'already-detached' })
    expect(dom0.state()).toEqual(before)
  })

  test('attaches, is listed, prewarms and detaches like any other', async () => {
    const dom0 = createDom0()
    await attach(dom0, 0, dom0, 'guest')
    expect(await attach(dom0, 0, dom0, owner)).toMatchObject({ outcome: 'already-attached' })
    expect((await listAttachments(dom0)).attachments).toMatchObject([{ owners: [{ name: 'guest' }, { name: owner }] }])
    expect((await reconcile(dom0)).actions).toEqual([])
    expect(await detachLun(address, { ...dom0, owner: 'guest' })).toMatchObject({
      outcome: 'released',
      owners: [owner],
    })
    expect(await detachLun(address, { ...dom0, owner })).toMatchObject({ outcome: 'detached' })
    await prewarm({ ...address, portals: dom0.san.portals }, { ...dom0, owner, ttlMs: 60_000 })
    expect(await cooldown(address, { ...dom0, owner })).toMatchObject({ outcome: 'detached' })
    expect(dom0.leftovers()).toEqual([])
  })
})
