import { type BlockDevice, multipathWwid, readBlockDevice } from '../../block/block-device.ts'
import type { ScsiIdentity } from '../../block/scsi.ts'
import { diskWwid } from '../../block/volume.ts'
import { LunError } from '../../core/error.ts'
import type { Hctl } from '../../core/hctl.ts'
import type { Context } from '../context.ts'
import type { LunPlace } from '../journal/journal.ts'
import type { LunDevice } from './find-lun.ts'
import { mismatch } from './lun-identity.ts'

/** What a path says it leads to. */
export interface ProvenPath {
  readonly hctl: Hctl
  readonly disk: string
  readonly identity: ScsiIdentity
  readonly sizeBytes: number
  /** The array was asked now. False for a path that does not work: then it is what the kernel remembers. */
  readonly isLive: boolean
}

/**
 * Asks every path which volume it leads to: the kernel's copy is of the time of the scan, and neither it nor multipathd
 * notices when the array puts another volume behind a LUN that is in use.
 */
export async function askPaths({ scsi, host }: Context, devices: readonly LunDevice[]): Promise<readonly ProvenPath[]> {
  const asked = await Promise.all(
    devices.map(async ({ hctl, disk, session }) => {
      // A path that is blocked keeps whoever asks it until its time is up.
      const isLive = session.state === 'logged-in' && (await scsi.state(hctl)) === 'running'
      const identity = await scsi.identity(hctl, { live: isLive })
      const device = disk === undefined ? undefined : await readBlockDevice(host.files, disk)
      return disk === undefined || device === undefined
        ? []
        : [{ hctl, disk, identity, sizeBytes: device.sizeBytes, isLive }]
    })
  )
  return asked.flat()
}

/**
 * Every path leads to `wwid`, and so does each disk below the device, which is still the one that was found.
 *
 * @throws {@link LunError} `LUN_MISMATCH` naming both volumes
 */
export async function proveDevice(
  context: Context,
  place: LunPlace,
  device: BlockDevice,
  wwid: string | undefined,
  devices: readonly LunDevice[]
): Promise<readonly ProvenPath[]> {
  const { files } = context.host
  const paths = await askPaths(context, devices)
  for (const { disk, identity } of paths) {
    if (identity.wwid !== wwid) throw mismatch(place, disk, 'wwid', wwid ?? 'none', identity.wwid ?? 'none')
  }
  const now = await readBlockDevice(files, device.name)
  if (now === undefined || now.major !== device.major || now.minor !== device.minor) {
    throw new LunError('DEVICE_UNREADABLE', `${device.name} vanished`, { device: device.name, reason: 'it vanished' })
  }
  if (device.dm === undefined) return paths
  const found = multipathWwid(now)
  if (found !== wwid) throw mismatch(place, now.dm?.name ?? now.name, 'wwid', wwid ?? 'none', found ?? 'none')
  for (const slave of now.slaves.filter(name => paths.every(({ disk }) => disk !== name))) {
    // A path of the map through another target: what the kernel knows of it has to do.
    const other = await diskWwid(files, slave)
    if (other !== wwid) throw mismatch(place, slave, 'wwid', wwid ?? 'none', other ?? 'none')
  }
  return paths
}
