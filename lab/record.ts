import { execFile } from 'node:child_process'
import { mkdir, open, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { chapSettings, createIscsiadm, createLocalHost, createNodeDb, createScsi, iqn, Secret } from 'xen-lun'
import { createRecordingExecutor, formatCassette } from 'xen-lun/testing'
import { createTools, outcomeOf, type Take } from './takes/take.ts'
import {
  afterwards,
  beforeLogin,
  busy,
  daemonsDown,
  login,
  mapped,
  portalCut,
  target,
  wrongSecret,
} from './takes/takes.ts'
import { until } from './world/until.ts'
import { createWorld, type World } from './world/world.ts'

const folder = '/share/fixtures/recorded'
const host = createLocalHost()

async function versions(): Promise<readonly string[]> {
  const run = promisify(execFile)
  const said = async (file: string, ...args: readonly string[]): Promise<string> => {
    // multipath -h exits 1
    const { stdout, stderr } = await run(file, args).catch((error: { stdout: string; stderr: string }) => error)
    return `${stdout}${stderr}`.trim().split('\n')[0] ?? ''
  }
  const xen = /xen_version +: (.*)/.exec((await run('xl', ['info'])).stdout)?.[1] ?? 'unknown'
  return [await said('iscsiadm', '--version'), await said('multipath', '-h'), `xen ${xen}`]
}

async function record(notes: readonly string[], takes: readonly Take[]): Promise<void> {
  for (const take of takes) {
    const executor = createRecordingExecutor(host.executor)
    const outcome = await outcomeOf(take, createTools({ ...host, executor }))
    const path = join(folder, take.name)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(`${path}.txt`, formatCassette(notes, executor.recordings))
    await writeFile(`${path}.json`, outcome)
    console.log(`recorded ${take.name}`)
  }
}

async function scanIn(): Promise<string> {
  const scsi = createScsi(host)
  const [session] = await createIscsiadm(host).sessions({ target: iqn(target) })
  if (session === undefined) throw new Error('no session')
  await scsi.scan(session, 0)
  const disk = await until('the disk', async () => {
    const [hctl] = await scsi.devices(session)
    return hctl === undefined ? undefined : await scsi.disk(hctl)
  })
  const number = (await host.files.read(`/sys/block/${disk}/dev`))?.trim()
  await until('udev', async () => (await host.files.read(`/run/udev/data/b${number}`))?.includes('I:'))
  return disk
}

async function recordAll({ san, daemons }: World): Promise<void> {
  const notes = await versions()
  const iscsiadm = createIscsiadm(host)
  const nodeDb = createNodeDb(host)
  const { wwid } = await san.addVolume({ name: 'v0', sizeMiB: 64 })
  await san.addTarget({ iqn: target, luns: { 0: 'v0' } })
  await record(notes, beforeLogin)

  await iscsiadm.deleteRecords({ target: iqn(`${target}-unknown`) })
  await san.setChap(target, { username: 'dom0', password: 'correct-horse-1' })
  const { records } = await nodeDb.recordsOf(target)
  const wrong = chapSettings({ username: 'dom0', password: new Secret('wrong-password-2') })
  for (const each of records) await nodeDb.update(each, wrong)
  await record(notes, wrongSecret)
  await san.setChap(target, undefined)
  for (const each of records) await nodeDb.update(each, chapSettings(undefined))

  const once = { 'node.session.initial_login_retry_max': '1', 'node.conn[0].timeo.login_timeout': '5' }
  await iscsiadm.updateRecords({ target }, once)
  await san.cutPortal(san.portals[1])
  await record(notes, portalCut)
  await san.restorePortal(san.portals[1])
  await iscsiadm.logout({ target })

  await record(notes, login)
  const disk = await scanIn()
  await record(notes, mapped(wwid, disk))
  const node = `/dev/mapper/${wwid}`
  const holder = await until('the map', async () => await open(node, 'r').catch(() => undefined))
  await record(notes, busy(wwid))
  await holder.close()
  await record(notes, afterwards(wwid))

  await daemons.multipathd.stop()
  await daemons.iscsid.stop()
  await record(notes, daemonsDown)
  await writeFile(join(folder, 'subject.json'), `${JSON.stringify({ wwid, disk }, undefined, 2)}\n`)
}

await recordAll(await createWorld())
process.exit(0)
