import { formatHctl, type Hctl, parseHctl } from '../core/hctl.ts'
import type { OperationOptions } from '../core/options.ts'
import type { Wwid } from '../core/wwid.ts'
import { until } from '../flow/until.ts'
import type { Host } from '../host/host.ts'
import { parseSerialPage, toWwid } from './identity.parse.ts'

/** One side of an I_T nexus as the SCSI layer numbers it; each software iSCSI session has a host of its own. */
export interface ScsiTarget {
  readonly host: number
  readonly channel: number
  readonly targetId: number
}

/** Where a session's devices are, as far as sysfs tells. */
export type SessionTarget = { readonly [Name in keyof ScsiTarget]: ScsiTarget[Name] | undefined }

/** What a LUN says it is. */
export interface ScsiIdentity {
  /** From VPD page 0x83; undefined where the device has none. */
  readonly wwid: Wwid | undefined
  /** From VPD page 0x80. */
  readonly serial: string | undefined
}

/** SCSI devices through sysfs: no process is started for any of this. */
export interface Scsi {
  /** Every device of a target, LUN by LUN; none of one whose numbers are unknown. */
  devices(target: SessionTarget): Promise<readonly Hctl[]>
  /** Asks the kernel to look for one LUN. When this returns the device exists, or the LUN does not. */
  scan(target: ScsiTarget, lun: number): Promise<void>
  exists(hctl: Hctl): Promise<boolean>
  /** `sdb`; appears some 20 to 50 ms after the device. Undefined for what is no disk. */
  disk(hctl: Hctl): Promise<string | undefined>
  /** `running`, `transport-offline`, `blocked`, … as in the kernel's scsi_sysfs.c. */
  state(hctl: Hctl): Promise<string | undefined>
  /**
   * Who the LUN is. The kernel keeps a copy from the time of the scan, so after a swap on the array the copy
   * names the old volume; `live` makes it ask again first.
   */
  identity(hctl: Hctl, options: { readonly live: boolean }): Promise<ScsiIdentity>
  /**
   * Makes the kernel ask for size and identity again. False where the device is gone, or not one of its commands was
   * answered well: then the kernel goes on believing what it did before.
   */
  rescan(hctl: Hctl): Promise<boolean>
  /** Deletes the device and waits until it is gone. Its pages must be on disk: see `Files.sync`. */
  remove(hctl: Hctl, options: OperationOptions & { readonly timeoutMs: number }): Promise<'removed' | 'absent'>
}

export function createScsi({ files, clock }: Pick<Host, 'files' | 'clock'>): Scsi {
  const path = (hctl: Hctl): string => `/sys/class/scsi_device/${formatHctl(hctl)}/device`
  const attribute = async (hctl: Hctl, name: string): Promise<string | undefined> =>
    (await files.read(`${path(hctl)}/${name}`))?.trim()
  const exists = async (hctl: Hctl): Promise<boolean> => (await files.realpath(path(hctl))) !== undefined
  // The write ends well whatever the array said; but the kernel counts, in hexadecimal.
  const goodAnswers = async (hctl: Hctl): Promise<number | undefined> => {
    const [done, failed] = await Promise.all(['iodone_cnt', 'ioerr_cnt'].map(async name => await attribute(hctl, name)))
    const count = Number(done) - Number(failed)
    return done === undefined || failed === undefined || Number.isNaN(count) ? undefined : count
  }
  const rescan = async (hctl: Hctl): Promise<boolean> => {
    const before = await goodAnswers(hctl)
    if (!(await files.write(`${path(hctl)}/rescan`, '1'))) return false
    const after = await goodAnswers(hctl)
    return before === undefined || after === undefined || after > before
  }
  return {
    exists,
    rescan,
    devices: async ({ host, channel, targetId }) =>
      (await files.list('/sys/class/scsi_device'))
        .filter(name => name.startsWith(`${host}:${channel}:${targetId}:`)) // no name begins with "undefined"
        .map(name => parseHctl(name)),
    scan: async ({ host, channel, targetId }, lun) => {
      await files.write(`/sys/class/scsi_host/host${host}/scan`, `${channel} ${targetId} ${lun}`)
    },
    disk: async hctl => (await files.list(`${path(hctl)}/block`))[0],
    state: async hctl => await attribute(hctl, 'state'),
    identity: async (hctl, { live }) => {
      if (live) await rescan(hctl)
      const [name, page] = await Promise.all([
        attribute(hctl, 'wwid'),
        files.readAt(`${path(hctl)}/vpd_pg80`, 0, 256).catch(() => undefined), // not every device has the page
      ])
      return { wwid: toWwid(name), serial: parseSerialPage(page) }
    },
    remove: async (hctl, { timeoutMs, signal }) => {
      if (!(await files.write(`${path(hctl)}/delete`, '1'))) return 'absent'
      const awaited = `the kernel to delete SCSI device ${formatHctl(hctl)}`
      await until(clock, async () => !(await exists(hctl)), { awaited, timeoutMs, signal })
      return 'removed'
    },
  }
}
