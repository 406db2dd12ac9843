import type { Files } from '../host/files.ts'
import type { MultipathMap } from '../multipath/maps.decode.ts'
import type { Check, Facts } from './facts.ts'
import { type Observation, ok, warning } from './finding.ts'
import { type LvmDevices, parseLvmDevices } from './lvm-conf.parse.ts'

// lvm.conf(5): the second belongs to this host alone, and wins.
const CONFS = ['/etc/lvm/lvm.conf', '/etc/lvm/lvmlocal.conf']
const PROGRAMS = ['/usr/sbin/lvm', '/sbin/lvm']
const DEVICES_FILE = '/etc/lvm/devices/system.devices'

const ADVICE = `Set global_filter = [ "r|^/dev/mapper/|", … ] in /etc/lvm/lvm.conf, with what is dom0's own accepted before it, or use a devices file (lvmdevices(8)).`

/**
 * A guest that has LVM on its disk has its volume groups on a LUN of ours, where dom0 finds them too and activates them:
 * the map is then in use, and two systems write to one volume group.
 */
export const checkLvmFilter: Check = async facts => {
  const lvm = await readLvm(facts.host.files)
  if (lvm === undefined) return [ok('LVM is not installed.')]
  // Without the file LVM goes on as if it were not to use one: lvmdevices(8).
  const hasDevicesFile = (await facts.host.files.stat(DEVICES_FILE)) !== undefined
  if (hasDevicesFile && lvm.useDevicesFile !== false) return [ok(`LVM uses only what ${DEVICES_FILE} lists.`)]
  const { globalFilter, filter } = lvm
  const scanned = await firstScanned(facts, globalFilter ?? [])
  if (scanned === undefined) return [ok("LVM's global_filter leaves multipath maps alone.")]
  return [scans(scanned, globalFilter !== undefined, filter !== undefined)]
}

/** lvm.conf(5), devices/scan_lvs. */
export const checkLvmScansLvs: Check = async ({ host }) => {
  const lvm = await readLvm(host.files)
  if (lvm?.scanLvs !== true) return [ok('LVM does not look for volume groups inside logical volumes.')]
  const message = 'LVM looks for volume groups inside logical volumes (scan_lvs = 1), and so on the disks of guests.'
  return [warning(message, 'Set scan_lvs = 0 in /etc/lvm/lvm.conf.', CONFS[0])]
}

function scans(device: string, hasGlobalFilter: boolean, hasFilter: boolean): Observation {
  const why = hasGlobalFilter
    ? 'its global_filter lets it'
    : hasFilter
      ? 'udev and its like go by global_filter, which is not set, and not by filter'
      : 'no global_filter is set'
  const message = `LVM in dom0 looks at multipath maps such as ${device} and activates what guests have on them: ${why}.`
  return warning(message, ADVICE, CONFS[0])
}

/** Undefined where there is no LVM. */
async function readLvm(files: Files): Promise<LvmDevices | undefined> {
  const texts = (await Promise.all(CONFS.map(async path => await files.read(path)))).filter(text => text !== undefined)
  const programs = await Promise.all(PROGRAMS.map(async path => await files.stat(path)))
  if (texts.length === 0 && programs.every(program => program === undefined)) return undefined
  return Object.assign({}, ...texts.map(parseLvmDevices)) as LvmDevices
}

type NamedMap = Pick<MultipathMap, 'name' | 'wwid' | 'device'>

// What an attach will bring, where nothing is attached now.
const TYPICAL: NamedMap = {
  name: '360014050000000000000000000000000',
  wwid: '360014050000000000000000000000000',
  device: 'dm-9',
}

async function firstScanned({ maps }: Pick<Facts, 'maps'>, patterns: readonly string[]): Promise<string | undefined> {
  const known: readonly NamedMap[] = await maps().catch(() => [])
  const scanned = (known.length === 0 ? [TYPICAL] : known).find(map => accepts(patterns, namesOf(map)))
  return scanned === undefined ? undefined : `/dev/mapper/${scanned.name}`
}

/** What udev calls a map: 60-multipath.rules, 13-dm-disk.rules, 60-persistent-storage-dm.rules. */
function namesOf({ name, wwid, device }: NamedMap): readonly string[] {
  const byId = [`dm-name-${name}`, `dm-uuid-mpath-${wwid}`, `scsi-${wwid}`, `wwn-0x${wwid.slice(1)}`]
  return [`/dev/mapper/${name}`, `/dev/${device}`, ...byId.map(id => `/dev/disk/by-id/${id}`)]
}

/**
 * lvm.conf(5), devices/filter: of the patterns that match a name the first decides, a device is used if any of its names
 * is accepted, and one that no pattern matches is used.
 */
function accepts(patterns: readonly string[], names: readonly string[]): boolean {
  const rules = patterns.map(readRule)
  const verdicts = names.map(name => rules.find(({ pattern }) => pattern.test(name))?.isAccepted)
  return verdicts.includes(true) || !verdicts.includes(false)
}

/** `a|…|` or `r/…/`, with any delimiter. */
function readRule(text: string): { readonly isAccepted: boolean; readonly pattern: RegExp } {
  return { isAccepted: text.startsWith('a'), pattern: new RegExp(text.slice(2, -1)) }
}
