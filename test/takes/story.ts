import {
  chapSettings,
  createIscsiadm,
  createNodeDb,
  createScsi,
  type Host,
  iqn,
  isUsableSession,
  Secret,
} from 'xen-lun'
import type { World } from '../scenarios/world.ts'
import type { Take } from './take.ts'
import { afterwards, beforeLogin, busy, daemonsDown, login, mapped, portalCut, target, wrongSecret } from './takes.ts'

/** Which LUN the takes are about. */
export interface Subject {
  readonly wwid: string
  /** The disk the kernel made of it. */
  readonly disk: string
}

/** Leads a host through what is recorded: `play` gets the takes of each stage when the host is ready for them. */
export async function tellStory(
  { san, daemons, host, holdDevice }: Pick<World, 'san' | 'daemons' | 'host' | 'holdDevice'>,
  play: (takes: readonly Take[]) => Promise<void>
): Promise<Subject> {
  const iscsiadm = createIscsiadm(host)
  const nodeDb = createNodeDb(host)
  const { wwid } = await san.addVolume({ name: 'v0', sizeMiB: 64 })
  await san.addTarget({ iqn: target, luns: { 0: 'v0' } })
  await play(beforeLogin)

  await iscsiadm.deleteRecords({ target: iqn(`${target}-unknown`) })
  await san.setChap(target, { username: 'dom0', password: 'correct-horse-1' })
  const { records } = await nodeDb.recordsOf(target)
  const wrong = chapSettings({ username: 'dom0', password: new Secret('wrong-password-2') })
  for (const each of records) await nodeDb.update(each, wrong)
  await play(wrongSecret)
  await san.setChap(target, undefined)
  for (const each of records) await nodeDb.update(each, chapSettings(undefined))

  const once = { 'node.session.initial_login_retry_max': '1', 'node.conn[0].timeo.login_timeout': '5' }
  await iscsiadm.updateRecords({ target }, once)
  await san.cutPortal(san.portals[1])
  await play(portalCut)
  await san.restorePortal(san.portals[1])
  await iscsiadm.logout({ target })

  await play(login)
  const disk = await scanIn(host)
  await play(mapped(wwid, disk))
  const node = `/dev/mapper/${wwid}`
  await until(host, 'the map', async () => await host.files.stat(node))
  const holder = await holdDevice(node)
  await play(busy(wwid))
  await holder.release()
  await play(afterwards(wwid))

  await daemons.multipathd.stop()
  await daemons.iscsid.stop()
  await play(daemonsDown)
  return { wwid, disk }
}

async function scanIn(host: Host): Promise<string> {
  const scsi = createScsi(host)
  const [session] = (await createIscsiadm(host).sessions({ target })).filter(isUsableSession)
  if (session === undefined) throw new Error('no session')
  await scsi.scan(session, 0)
  const disk = await until(host, 'the disk', async () => {
    const [hctl] = await scsi.devices(session)
    return hctl === undefined ? undefined : await scsi.disk(hctl)
  })
  const number = (await host.files.read(`/sys/block/${disk}/dev`))?.trim()
  await until(host, 'udev', async () => /^I:/m.exec((await host.files.read(`/run/udev/data/b${number}`)) ?? ''))
  return disk
}

const PATIENCE_MS = 30_000
const LOOK_MS = 100

async function until<T>({ clock }: Host, awaited: string, look: () => Promise<T | null | undefined>): Promise<T> {
  const deadlineMs = clock.now() + PATIENCE_MS
  for (;;) {
    const seen = await look()
    if (seen !== undefined && seen !== null) return seen
    if (clock.now() > deadlineMs) throw new Error(`waited too long for ${awaited}`)
    await clock.sleep(LOOK_MS)
  }
}
