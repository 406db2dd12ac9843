import { findMapOn, multipathWwid, readBlockDevice } from '../../block/block-device.ts'
import { readUdevRecord } from '../../block/udev.ts'
import { hasCode, isLunError, LunError } from '../../core/error.ts'
import { formatHctl, type Hctl } from '../../core/hctl.ts'
import type { PathOutcome } from '../../core/path-outcome.ts'
import { formatPortal } from '../../core/portal.ts'
import { retry } from '../../flow/retry.ts'
import { unlessAborted } from '../../flow/unless-aborted.ts'
import { until } from '../../flow/until.ts'
import type { UsableSession } from '../../iscsi/session.ts'
import type { Context } from '../context.ts'
import type { Operation } from '../operation.ts'
import type { AttachWish, Endpoint } from '../request.ts'
import { type LunIdentity, mismatch } from '../volume/lun-identity.ts'
import { rescanInTime } from '../volume/proof.ts'
import type { Admit } from './admission.ts'
import type { Entrance } from './entrance.ts'
import type { Made } from './made.ts'

/** Times of one path. Each wait ends with its condition; these only bound it. */
const LUN_MS = 1500 // a LUN mapped on the array just now may take a moment
const DISK_MS = 15_000
const UDEV_MS = 30_000
const ADD_PATH_MS = 2000
const MAP_MS = 40_000 // a path may have to wait out multipathd's uev_wait_timeout of 30 s

/** What the paths of one attach share. */
export interface PathContext {
  readonly context: Context
  readonly operation: Operation
  readonly wish: AttachWish
  readonly made: Made
  /** The identity the first path found; all others must match. */
  readonly identity: LunIdentity
  readonly isMultipath: boolean
  /** How the local work on a path begins. */
  readonly entrance: Entrance
  readonly admit: Admit
}

/** Reports what became known of a path. */
export type Progress = (news: Partial<PathOutcome>) => void

/** The LUN as one session shows it. */
export interface PathDevice {
  readonly hctl: Hctl
  /** Nobody had seen it on this session before. */
  readonly isNew: boolean
}

/** Takes one path from its device to a disk that is ready, in its map if there is to be one. */
export async function bringUp(
  shared: PathContext,
  endpoint: Endpoint,
  { hctl, isNew }: PathDevice,
  progress: Progress,
  signal: AbortSignal
): Promise<void> {
  const { context } = shared
  const { clock } = context.host
  const place = formatPortal(endpoint.portal)
  progress({ hctl: formatHctl(hctl) })
  const disk = await until(clock, async () => await context.scsi.disk(hctl), {
    awaited: `the disk of SCSI device ${formatHctl(hctl)} at ${place}`,
    timeoutMs: DISK_MS,
    signal,
  })
  progress({ disk })
  // A device that was there before the scan carries the identity of back then. What does not answer is not up yet: for a
  // map multipathd waits for it, and the device is proven before it is handed over.
  if (!isNew) await unlessAborted(rescanInTime(context, hctl), signal)
  const identity = await context.scsi.identity(hctl, { live: false })
  await shared.identity.check(disk, identity)
  await waitForUdev(shared, disk, signal)
  if (shared.isMultipath) await joinMap(shared, disk, signal)
}

/** Has the kernel look for the LUN. From then on the session has a user. */
export async function findDevice(
  { context, wish, made }: PathContext,
  session: UsableSession,
  signal: AbortSignal
): Promise<PathDevice> {
  const { scsi, host } = context
  const find = async (): Promise<Hctl | undefined> =>
    (await scsi.devices(session)).find(device => device.lun === wish.lun)
  const known = await find()
  if (known !== undefined) return { hctl: known, isNew: made.hctls.has(formatHctl(known)) }
  const hctl = { host: session.host, channel: session.channel, target: session.targetId, lun: wish.lun }
  made.hctls.add(formatHctl(hctl))
  const scan = async (): Promise<Hctl> => {
    await scsi.scan(session, wish.lun)
    const found = await find()
    if (found !== undefined) return found
    await assertSession(context, session)
    const message = `${wish.target} has no LUN ${wish.lun} at ${formatPortal(session.persistentPortal)} for this initiator`
    throw new LunError('LUN_NOT_FOUND', message, { target: wish.target, lun: wish.lun, hctls: [formatHctl(hctl)] })
  }
  const found = await retry(host.clock, scan, {
    isPassing: hasCode('LUN_NOT_FOUND'),
    withinMs: LUN_MS,
    firstPauseMs: 200,
    signal,
  })
  return { hctl: found, isNew: true }
}

// Somebody else may have logged it out before this path got here.
async function assertSession({ iscsiadm }: Context, { sid, target, persistentPortal }: UsableSession): Promise<void> {
  if ((await iscsiadm.sessions({ target })).some(session => session.sid === sid)) return
  const portal = formatPortal(persistentPortal)
  const message = `the session with ${target} at ${portal} has ended`
  throw new LunError('ISCSI_PORTAL_UNREACHABLE', message, { target, portal })
}

// multipathd answers "fail" to a path udev has not named yet.
async function waitForUdev({ context }: PathContext, disk: string, signal: AbortSignal): Promise<void> {
  const { clock, files } = context.host
  const device = await readBlockDevice(files, disk)
  const look = async (): Promise<boolean> =>
    device !== undefined && (await readUdevRecord(files, device.major, device.minor))?.isInitialized === true
  await until(clock, look, { awaited: `udev to finish with ${disk}`, timeoutMs: UDEV_MS, signal })
}

async function joinMap(shared: PathContext, disk: string, signal: AbortSignal): Promise<void> {
  const { context, identity, made, wish } = shared
  const { multipath, host } = context
  const { wwid } = identity
  if (wwid === undefined) throw noMap('?', `${disk} has no name in VPD page 0x83`)
  if ((await findMapOn(host.files, disk)) === undefined) {
    made.joined.add(disk)
    await shared.admit(disk, wwid, signal)
    await retry(host.clock, async () => await multipath.addPath(disk, { signal }), {
      isPassing: hasCode('MULTIPATHD_REFUSED'),
      withinMs: ADD_PATH_MS,
      firstPauseMs: 50,
      signal,
    })
  }
  try {
    const awaited = `multipathd to map ${disk}`
    const limits = { awaited, timeoutMs: MAP_MS, signal }
    const map = await until(host.clock, async () => await findMapOn(host.files, disk), limits)
    const found = multipathWwid(map)
    // multipathd reinstates the paths of a swapped LUN in the old map.
    if (found !== wwid) throw mismatch(wish, map.name, 'wwid', wwid, found ?? 'none')
    const name = map.dm?.name ?? wwid
    const isUsed = async (): Promise<boolean> => {
      const path = (await multipath.map(name, { signal }))?.paths.find(({ device }) => device === disk)
      return path?.dmState === 'active' && path.checkerState === 'ready'
    }
    await until(host.clock, isUsed, { ...limits, awaited: `multipathd to use ${disk}`, everyMs: 50 })
  } catch (error) {
    throw isLunError(error, 'TIMEOUT') && !signal.aborted ? noMap(wwid, error.message) : error
  }
}

function noMap(wwid: string, reason: string): LunError<'MULTIPATH_REQUIRED'> {
  return new LunError('MULTIPATH_REQUIRED', `multipathd makes no usable map of ${wwid}: ${reason}`, { wwid, reason })
}
