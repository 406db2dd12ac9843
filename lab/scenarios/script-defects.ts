import assert from 'node:assert/strict'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { attachLun } from 'xen-lun'
import { target } from '../../test/scenarios/lun.ts'
import type { Scenario } from '../../test/scenarios/scenario.ts'
import { readText } from '../world/files.ts'
import { assertSnapshotWorks, installScript } from '../world/install.ts'
import { refuseAllDisks } from '../world/multipath-conf.ts'
import { createOwnDisk, type OwnDisk } from '../world/own-disk.ts'
import { pauseDaemon } from '../world/pause.ts'
import { run, tryRun } from '../world/run.ts'
import type { World } from '../world/world.ts'

/** The name in the seed's post, and in Xen's own test of disk lines (tools/xl/check-xl-disk-parse). */
const seed = 'iqn.2001-05.com.equallogic:0-8a0906-23fe93404-c82797962054a96d-examplehost'
/** A name that the one of the scenarios' target begins with. */
const longer = `${target}2`
const conf = '/etc/xen/scripts/block-iscsi.conf'
const rules = '/run/udev/rules.d'

interface Stage {
  readonly world: World
  readonly disk: OwnDisk
}

/** A disk line for Xen's own script; ours answers to its name. */
const line = (rest: string): string => `script=block-iscsi,vdev=xvda,access=rw,target=${rest}`
const upstream = ({ san }: World, rest = ''): string => line(`iqn=${target},portal=${san.portals[0]}${rest}`)

/** The name of the map behind a node of udev's or of the kernel's. */
const mapOf = (path: string): string =>
  path.startsWith('/dev/dm-')
    ? readText(`/sys/block/${path.slice('/dev/'.length)}/dm/name`)
    : path.slice('/dev/mapper/'.length)

/** The disk is connected to the map of the volume over so many paths; then it goes, with all that was made for it. */
async function works(
  { world, disk }: Stage,
  text: string,
  { volume = 'v0', paths = 1, node = /^\/dev\/mapper\// } = {}
): Promise<void> {
  const attached = await disk.attach(text)
  assert.equal(attached.exitCode, 0, attached.text)
  const path = (await disk.key('physical-device-path')) ?? ''
  assert.match(path, node)
  const map = (await world.snapshot()).maps.find(({ name }) => name === mapOf(path))
  assert.equal(map?.disks.length, paths, path)
  assert.match((await disk.key('physical-device')) ?? '', /^[1-9a-f][0-9a-f]*:[0-9a-f]+$/)
  const data = Buffer.alloc(8192, `written by dom0 to ${volume} `)
  await world.writeDevice(await disk.device(), 1 << 20, data)
  const detached = await disk.detach()
  assert.equal(detached.exitCode, 0, detached.text)
  assert.deepEqual(Buffer.from(await world.san.readVolume(volume, 1 << 20, data.length)), data)
  console.error(`${attached.log}\n${detached.log}\nLAB:   attach ${attached.tookMs} ms, detach ${detached.tookMs} ms`)
}

/** xl fails in time and prints the reason; nothing is connected, and nothing is left when the disk is gone. */
async function fails({ disk }: Stage, text: string, reason: RegExp): Promise<void> {
  const attached = await disk.attach(text)
  assert.notEqual(attached.exitCode, 0)
  assert.match(attached.text, reason)
  assert.equal(await disk.key('physical-device'), undefined)
  assert.equal(await disk.key('hotplug-status'), 'error')
  assert.match((await disk.key('hotplug-error')) ?? '', /^[\x20-\x7e]{1,256}$/)
  const detached = await disk.detach()
  assert.equal(detached.exitCode, 0, detached.text)
  console.error(attached.log)
  console.error(`LAB:   failed after ${attached.tookMs} ms: ${attached.text.trim().split('\n').at(-1)}`)
}

/** Xen's block-iscsi, S1 to S9 of the measured defects, and the seed's A to E. */
const defects: Readonly<Record<string, (stage: Stage) => Promise<void>>> = {
  'S1 one portal': async stage => await works(stage, upstream(stage.world)),
  'S2 a target with two portals': async stage => await works(stage, upstream(stage.world, ',multipath=y')),
  'S3 a session with a longer name': async stage => {
    const { host, san } = stage.world
    const other = await attachLun({ target: longer, portals: [san.portals[0]] }, { host, timeoutMs: 60_000 })
    await works(stage, upstream(stage.world, ',multipath=y'))
    await other.detach()
  },
  'S4 no such LUN': async stage => await fails(stage, upstream(stage.world, ',lun=7'), /has no LUN 7/),
  'S5 the login is refused': async stage => {
    const { san } = stage.world
    await san.setChap(target, { username: 'vm1', password: 'not-told-to-anybody' })
    await fails(stage, upstream(stage.world), /10\.0\.1\.1:3260 refused the credentials/)
    await san.setChap(target, undefined)
  },
  'S6 a LUN that is not 0': async stage => await works(stage, upstream(stage.world, ',lun=3'), { volume: 'v3' }),
  'S7 a second remove': async ({ disk }) => {
    const env = ['XENBUS_PATH=' + disk.backend, '/etc/xen/scripts/block-iscsi', 'remove']
    const startedMs = performance.now()
    const { exitCode, stdout, stderr } = await tryRun('env', env)
    assert.deepEqual([exitCode, stdout, stderr], [0, '', ''])
    console.error(`LAB:   ${Math.round(performance.now() - startedMs)} ms`)
  },
  'S8 the map comes late': async stage => {
    await using pause = await pauseDaemon('multipathd')
    const late = pause.endAfter(4000)
    await works(stage, upstream(stage.world, ',multipath=y'))
    await late
  },
  'S9, D the bare name, two portals; E written data': async stage => {
    await writeFile(conf, `# available target IPs\nPORTALS=(\n${stage.world.san.portals.join('\n')}\n)\n`)
    await works(stage, `iscsi:${seed},xvda,w`, { paths: 2 })
    await rm(conf)
  },
  'A a map without a node': async stage => {
    await mkdir(rules, { recursive: true })
    await writeFile(`${rules}/99-no-mapper.rules`, 'SUBSYSTEM=="block", KERNEL=="dm-*", SYMLINK=""\n')
    await run('udevadm', ['control', '--reload'])
    await works(stage, upstream(stage.world, ',multipath=y'), { node: /^\/dev\/dm-\d+$/ })
    await rm(`${rules}/99-no-mapper.rules`)
    await run('udevadm', ['control', '--reload'])
  },
  'B multipathd makes no map': async stage => {
    await using _conf = await refuseAllDisks()
    await fails(stage, upstream(stage.world, ',multipath=y'), /multipath/)
  },
  'C no portal answers': async stage => {
    const { san } = stage.world
    for (const portal of san.portals) await san.cutPortal(portal)
    await fails(stage, upstream(stage.world), /10\.0\.1\.1/)
    for (const portal of san.portals) await san.restorePortal(portal)
  },
}

async function scriptDefects(world: World): Promise<void> {
  const { san } = world
  await installScript()
  await using disk = await createOwnDisk(world)
  for (const lun of [0, 3]) await san.addVolume({ name: `v${lun}`, sizeMiB: 64 })
  await san.addVolume({ name: 'other', sizeMiB: 64 })
  await san.addTarget({ iqn: target, luns: { 0: 'v0', 3: 'v3' } })
  await san.addTarget({ iqn: seed, luns: { 0: 'v0' } })
  await san.addTarget({ iqn: longer, luns: { 0: 'other' } })
  for (const [name, check] of Object.entries(defects)) {
    console.error(`LAB: script-defects: ${name}`)
    try {
      await check({ world, disk })
      await world.expectClean()
    } catch (cause) {
      throw new Error(`${name}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
    }
  }
  assertSnapshotWorks()
}

export const scriptDefectScenarios: readonly Scenario<World>[] = [
  {
    name: 'script-defects',
    about: "What Xen's own script and the one of 2009 got wrong, each once, through xl",
    onlyOnDom0: 'it takes xl',
    isLong: true,
    timeoutMs: 600_000,
    run: scriptDefects,
  },
]
