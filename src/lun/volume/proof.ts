import { type BlockDevice, multipathWwid, readBlockDevice } from '../../block/block-device.ts'
import type { ScsiIdentity } from '../../block/scsi.ts'
import { diskWwid } from '../../block/volume.ts'
import { LunError } from '../../core/error.ts'
import type { Hctl } from '../../core/hctl.ts'
import { unlessAborted } from '../../flow/unless-aborted.ts'
import type { Context } from '../context.ts'
import type { LunPlace } from '../journal/journal.ts'
import type { LunDevice } from './find-lun.ts'
import { mismatch } from './lun-identity.ts'

/** What a path says it leads to. */
export interface ProvenPath {
  readonly hctl: Hctl
  readonly disk: string
  readonly identity: ScsiIdentity
  /** 0 is not known: a path in standby does not say. */
  readonly sizeBytes: number
  readonly isReadOnly: boolean
  /** It answered now. False for a path that does not work: then all of it is what the kernel remembers. */
  readonly isLive: boolean
}

/** A device that is what it should be, as it is now. */
export interface ProvenDevice {
  readonly device: BlockDevice
  readonly paths: readonly ProvenPath[]
}

/** A path that does not answer within it does not work, though the kernel may go on asking. */
const ASK_MS = 10_000

/**
 * Asks every path which volume it leads to: the kernel's copy is of the time of the scan, and neither it nor multipathd
 * notices when the array puts another volume behind a LUN that is in use.
 */
export async function askPaths(context: Context, devices: readonly LunDevice[]): Promise<readonly ProvenPath[]> {
  const { scsi, host } = context
  const asked = await Promise.all(
    devices.map(async (found): Promise<readonly ProvenPath[]> => {
      const { hctl, disk } = found
      const hasAnswered = await ask(context, found)
      const identity = await scsi.identity(hctl, { live: false })
      const device = disk === undefined ? undefined : await readBlockDevice(host.files, disk)
      if (disk === undefined || device === undefined) return []
      const { sizeBytes, isReadOnly } = device
      return [{ hctl, disk, identity, sizeBytes, isReadOnly, isLive: hasAnswered }]
    })
  )
  return asked.flat()
}

async function ask(context: Context, { hctl, session }: LunDevice): Promise<boolean> {
  // A path that is blocked keeps whoever asks it until its time is up.
  return session.state === 'logged-in' && (await rescanInTime(context, hctl))
}

/** Makes the kernel ask a path anew who it is. False where it does not answer in time: then nothing new is known. */
export async function rescanInTime({ scsi, host }: Context, hctl: Hctl): Promise<boolean> {
  if ((await scsi.state(hctl)) !== 'running') return false
  const done = new AbortController()
  const late = host.clock.sleep(ASK_MS, done.signal).then(
    () => false,
    () => false
  )
  const answer = scsi.rescan(hctl).catch(() => false)
  const hasAnswered = await Promise.race([answer, late])
  done.abort()
  // One that went down meanwhile has told nothing.
  return hasAnswered && (await scsi.state(hctl)) === 'running'
}

/**
 * Every path that says something leads to `wwid`, one at least says so now, and so does each disk below the device, which
 * is still the one that was found. A path that says nothing does not work, but is no other volume.
 *
 * @throws {@link LunError} `LUN_MISMATCH` naming both volumes, `NO_PATHS` where none answers, `DEVICE_UNREADABLE`
 */
export async function proveDevice(
  context: Context,
  place: LunPlace & { readonly signal?: AbortSignal | undefined },
  device: BlockDevice,
  wwid: string | undefined,
  devices: readonly LunDevice[]
): Promise<ProvenDevice> {
  const { files } = context.host
  // Who is asked cannot be told to stop, and changes nothing.
  const asked = await unlessAborted(askPaths(context, devices), place.signal)
  for (const { disk, identity } of asked) assertVolume(place, disk, wwid, identity.wwid)
  const now = await readBlockDevice(files, device.name)
  if (now === undefined || now.major !== device.major || now.minor !== device.minor) {
    throw new LunError('DEVICE_UNREADABLE', `${device.name} vanished`, { device: device.name, reason: 'it vanished' })
  }
  const paths = asked.map(path => ({ ...path, isLive: path.isLive && path.identity.wwid === wwid }))
  if (!paths.some(({ isLive }) => isLive)) throw noneAnswers(place, paths)
  if (device.dm === undefined) return { device: now, paths }
  const found = multipathWwid(now)
  if (found !== wwid) throw mismatch(place, now.dm?.name ?? now.name, 'wwid', wwid ?? 'none', found ?? 'none')
  for (const slave of now.slaves.filter(name => paths.every(({ disk }) => disk !== name))) {
    // A path of the map through another target: what the kernel knows of it has to do.
    assertVolume(place, slave, wwid, await diskWwid(files, slave))
  }
  return { device: now, paths }
}

/** Whether the device cannot be written, or not over one of its paths. */
export function isReadOnly({ device, paths }: ProvenDevice): boolean {
  return device.isReadOnly || paths.some(path => path.isReadOnly)
}

function assertVolume(place: LunPlace, disk: string, expected: string | undefined, found: string | undefined): void {
  if (found !== undefined && found !== expected) throw mismatch(place, disk, 'wwid', expected ?? 'none', found)
}

function noneAnswers({ target, lun }: LunPlace, paths: readonly ProvenPath[]): LunError<'NO_PATHS'> {
  const failures = paths.map(({ disk }) => ({ step: disk, message: 'does not work' }))
  const message = `no path to LUN ${lun} of ${target} works, so none can be asked`
  return new LunError('NO_PATHS', message, { target, lun, failures })
}
