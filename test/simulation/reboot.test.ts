import { describe, expect, test } from 'vitest'
import { attachLun, createXenstore } from 'xen-lun'
import { createSimulatedDom0, type SimulatedDom0 } from 'xen-lun/testing'

const target = 'iqn.2001-05.com.example:vm1'
const BOOT_ID = '/proc/sys/kernel/random/boot_id'
const create = (): SimulatedDom0 =>
  createSimulatedDom0({ volumes: [{ name: 'v0', sizeMiB: 64 }], targets: [{ iqn: target, luns: { 0: 'v0' } }] })
const request = ({ san }: SimulatedDom0) => ({ target, portals: san.portals })
const uptimeOf = async ({ host }: SimulatedDom0): Promise<number> =>
  Number.parseFloat((await host.files.read('/proc/uptime')) ?? '')

describe('a reboot', () => {
  test('keeps what is on disk, and nothing else', async () => {
    const dom0 = create()
    const lun = await attachLun(request(dom0), dom0)
    await createXenstore(dom0.host).write({ '/local/domain/1/name': 'guest' })
    await dom0.host.files.replace('/run/note', '', 0o600)
    const { records, wwids } = dom0.state()
    const { host } = dom0
    await dom0.reboot()

    const nothing = { sessions: [], disks: [], maps: [], watched: [], vbds: [] }
    expect(dom0.state()).toMatchObject({ ...nothing, records, wwids })
    expect([records.length, wwids]).toEqual([2, [lun.wwid]])
    expect(dom0.state().journal).toEqual([`/var/lib/xen-lun/records/${target}.json`])
    expect(dom0.host).not.toBe(host)
    const { files } = dom0.host
    expect(await files.read('/run/note')).toBeUndefined()
    expect(await files.stat(lun.device)).toBeUndefined()
    expect(await files.list('/sys/block')).toEqual([])
    const xenstore = createXenstore(dom0.host)
    expect(await xenstore.exists('/local/domain/1')).toBe(false)
    expect(await xenstore.read('/local/domain/0/name')).toBe('Domain-0')
  })

  test('has a new boot id, and time begins anew', async () => {
    const dom0 = create()
    const first = await dom0.host.files.read(BOOT_ID)
    expect(first).toMatch(/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\n$/)
    expect(await dom0.startUser().host.files.read(BOOT_ID)).toBe(first)
    const before = await uptimeOf(dom0)
    await dom0.reboot()
    expect(await dom0.host.files.read(BOOT_ID)).not.toBe(first)
    expect(await uptimeOf(dom0)).toBeLessThan(before)
  })

  test('starts the daemons, also those that did not run', async () => {
    const dom0 = create()
    await dom0.daemons.multipathd.stop()
    await dom0.reboot()
    expect(dom0.daemons.multipathd.isRunning()).toBe(true)
    const lun = await attachLun(request(dom0), dom0)
    expect((await lun.detach()).outcome).toBe('detached')
    expect(dom0.leftovers()).toEqual([])
  })

  test('ends whatever is under way where it is', async () => {
    const dom0 = create()
    const moments = { settled: false }
    const note = (): void => {
      moments.settled = true
    }
    attachLun(request(dom0), dom0).then(note, note)
    await dom0.startUser().host.clock.sleep(170)
    expect(dom0.state().sessions.length).toBeGreaterThan(0)
    await dom0.reboot()
    const { records } = dom0.state()
    await dom0.host.clock.sleep(180_000)
    expect(dom0.state()).toMatchObject({ sessions: [], disks: [], maps: [], records })
    expect(moments.settled).toBe(false)
  })

  test('survives processes of before: killing one does nothing to the one that has its number', async () => {
    const dom0 = create()
    const old = dom0.startUser()
    await dom0.reboot()
    const user = dom0.startUser()
    expect(user.pid).toBe(old.pid)
    old.kill()
    expect(await user.host.files.read('/proc/self/comm')).toBe('node\n')
  })
})

test('processes have a name, a command line and a beginning', async () => {
  const dom0 = create()
  const { pid } = dom0.startUser()
  const { files } = dom0.host
  expect(await files.read(`/proc/${pid}/comm`)).toBe('node\n')
  expect((await files.read(`/proc/${pid}/cmdline`))?.split('\0')[0]).toBe('node')
  expect(await files.read(`/proc/${pid}/stat`)).toMatch(new RegExp(`^${pid} \\(node\\) S 1(?: 0){17} 360000 `))
})
