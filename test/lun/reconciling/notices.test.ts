import { describe, expect, test } from 'vitest'
import { createIscsiadm, detachLun, type IscsiSession, iqn, portal, reconcile } from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import { address, attach, createDom0, target } from '../helpers.ts'

const foreign = iqn(`${target}1`)
const DATABASE_LOCK = '/run/lock/iscsi/lock.write'

/** What it says, dry and applied, and that it leaves everything as it is. */
async function noticesOf(dom0: SimulatedDom0): Promise<readonly string[]> {
  const before = dom0.state()
  const dry = await reconcile(dom0)
  const applied = await reconcile({ ...dom0, apply: true })
  expect([dry.actions, applied.actions, applied.failed]).toEqual([[], [], []])
  expect(applied.notices).toEqual(dry.notices)
  expect(dom0.state()).toEqual(before)
  return dry.notices.map(({ kind, subject }) => `${kind}: ${subject}`)
}

/** Somebody else's session with a target of his. */
async function logInForeign(dom0: SimulatedDom0): Promise<IscsiSession> {
  await dom0.san.addTarget({ iqn: foreign, luns: { 0: 'v1' } })
  const iscsiadm = createIscsiadm(dom0.host)
  const endpoint = { target: foreign, portal: portal(dom0.san.portals[0]) }
  await iscsiadm.createRecord(endpoint)
  await iscsiadm.login(endpoint)
  const [session] = await iscsiadm.sessions({ target: foreign })
  if (session === undefined) throw new Error('there is no session')
  return session
}

async function removeDisks(dom0: SimulatedDom0, lun: number): Promise<void> {
  for (const { name } of dom0.state().disks.filter(disk => disk.lun === lun)) {
    await dom0.host.files.write(`/sys/block/${name}/device/delete`, '1')
  }
  await dom0.host.clock.sleep(1000)
}

describe('what is not ours is told of, and left alone:', () => {
  test('a session, its disk, map and record', async () => {
    const dom0 = createDom0()
    await attach(dom0)
    const { sid } = await logInForeign(dom0)
    expect(await noticesOf(dom0)).toEqual([`foreign-session: ${sid}`])
    expect(await detachLun(address, dom0)).toMatchObject({ outcome: 'detached' })
    expect(dom0.state().sessions.map(({ iqn: name }) => name)).toEqual([foreign])
    expect(dom0.state().records).toHaveLength(1)
    expect(dom0.state().maps).toHaveLength(1)
  })

  test('a LUN that somebody scanned on our session, which keeps it', async () => {
    const dom0 = createDom0()
    await attach(dom0)
    const [session] = await createIscsiadm(dom0.host).sessions({ target: iqn(target) })
    await dom0.host.files.write(`/sys/class/scsi_host/host${session?.host}/scan`, '0 0 1')
    await dom0.host.clock.sleep(1000)
    expect(await noticesOf(dom0)).toEqual([`foreign-lun: LUN 1 of ${target}`])
    await detachLun(address, dom0)
    expect(dom0.state().sessions).toHaveLength(1)
  })

  test('a map without paths', async () => {
    const dom0 = createDom0()
    const { device, map } = await attach(dom0)
    for (const path of dom0.state().journal) await dom0.host.files.remove(path)
    dom0.openDevice(device)
    await removeDisks(dom0, 0)
    expect(dom0.state().maps).toMatchObject([{ disks: [] }])
    expect((await noticesOf(dom0)).filter(line => !line.startsWith('foreign-session'))).toEqual([
      `empty-map: ${map?.name}`,
    ])
  })

  test('a record that nobody can read', async () => {
    const dom0 = createDom0()
    const folder = `/var/lib/iscsi/nodes/${foreign}`
    await dom0.host.files.makeDirectory(folder, 0o700)
    await dom0.host.files.replace(`${folder}/10.0.1.1,3260`, '', 0o600)
    expect(await noticesOf(dom0)).toEqual([`broken-record: ${folder}/10.0.1.1,3260`])
  })

  test("iscsiadm's lock, unless an iscsiadm runs", async () => {
    const dom0 = createDom0()
    await dom0.host.files.makeDirectory('/run/lock/iscsi', 0o700)
    await dom0.host.files.replace(DATABASE_LOCK, '', 0o600)
    expect(await noticesOf(dom0)).toEqual([`database-lock: ${DATABASE_LOCK}`])
    await dom0.host.files.makeDirectory('/proc/300', 0o755)
    await dom0.host.files.replace('/proc/300/comm', 'iscsiadm\n', 0o444)
    expect(await noticesOf(dom0)).toEqual([])
  })
})

test('a LUN whose disks somebody took away is told of, and can be detached', async () => {
  const dom0 = createDom0()
  await attach(dom0, 1)
  await attach(dom0)
  await removeDisks(dom0, 0)
  expect(await noticesOf(dom0)).toEqual([`missing-lun: LUN 0 of ${target}`])
  await detachLun(address, dom0)
  await detachLun({ target, lun: 1 }, dom0)
  expect(dom0.leftovers()).toEqual([])
})

test('a session on which nothing lives any more is ended', async () => {
  const dom0 = createDom0()
  await attach(dom0)
  await removeDisks(dom0, 0)
  const { actions, notices, failed } = await reconcile({ ...dom0, apply: true })
  expect([actions.map(({ kind }) => kind), notices.map(({ kind }) => kind), failed]).toEqual([
    ['leave'],
    ['missing-lun'],
    [],
  ])
  expect(dom0.state().sessions).toEqual([])
  expect(await attach(dom0)).toMatchObject({ outcome: 'attached', isDegraded: false })
  await detachLun(address, dom0)
  expect(dom0.leftovers()).toEqual([])
})
