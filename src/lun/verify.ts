import { readBlockDevice } from '../block/block-device.ts'
import { LunError } from '../core/error.ts'
import { checkOptions } from '../core/options.ts'
import { createLocalHost } from '../host/local.ts'
import { type LunDeviceNode, nodeOf, readTest } from './attaching/device.ts'
import { type Context, createContext } from './context.ts'
import { type LunOptions, type Operation, runOnLun } from './operation.ts'
import { type AttachRequest, checkAddress, checkExpected, type LunAddress } from './request.ts'
import { findLun } from './volume/find-lun.ts'
import { assertExpected, assertSize, mismatch } from './volume/lun-identity.ts'
import { isReadOnly, type ProvenPath, proveDevice } from './volume/proof.ts'
import { sizeOfPaths } from './volume/size.ts'

/** Which LUN, and what it must be. */
export interface VerifyRequest extends LunAddress {
  readonly expected?: AttachRequest['expected']
}

/** A LUN that is what it should be. */
export interface VerifiedLun extends LunDeviceNode {
  readonly target: string
  readonly lun: number
  /** Undefined for a LUN that names itself nowhere. */
  readonly wwid: string | undefined
  readonly paths: readonly VerifiedPath[]
}

export interface VerifiedPath {
  /** `sdb` */
  readonly disk: string
  readonly wwid: string | undefined
  readonly serial: string | undefined
  /** It answered now; false for a path that does not work, of which only the kernel's copy is known. */
  readonly isLive: boolean
}

/**
 * Asks the array, over every path of an attached LUN, which volume it is, and compares: with each other, with the map
 * they are in, with the volume that was attached, and with `expected`. Neither kernel nor multipathd notices by itself
 * when the array puts another volume behind a LUN in use. Changes nothing, and may be called at any time.
 *
 * @throws {@link LunError} `LUN_MISMATCH` naming both volumes; `LUN_NOT_FOUND` when it is not attached; `NO_PATHS` when
 * no path works, so that nobody can say; `DEVICE_UNREADABLE`, `INVALID_INPUT`, `TIMEOUT`, `LOCK_TIMEOUT`
 * @example
 * ```ts
 * import { isLunError, verifyLun } from 'xen-lun'
 *
 * try {
 *   await verifyLun({ target: 'iqn.2001-05.com.example:vm1' })
 * } catch (error) {
 *   if (!isLunError(error, 'LUN_MISMATCH')) throw error
 *   console.error(`stop the guest: its disk is ${error.details.found} now, not ${error.details.expected}`)
 * }
 * ```
 */
export async function verifyLun(request: VerifyRequest, options: LunOptions = {}): Promise<VerifiedLun> {
  const place = checkAddress(request)
  const { expected: wanted = {} } = request
  const expected = checkExpected(wanted)
  const host = checkOptions(options).host ?? createLocalHost()
  const context = createContext(host)
  return await runOnLun(
    host,
    { operation: 'verify', ...place },
    options,
    async operation => await operation.step('identity', async () => await verifyLocked(context, operation, expected))
  )
}

async function verifyLocked(
  context: Context,
  operation: Operation,
  expected: ReturnType<typeof checkExpected>
): Promise<VerifiedLun> {
  const { target, lun } = operation
  const entry = await context.journal.lun(operation)
  const { map, disks, devices, wwid } = await findLun(context, operation, entry)
  const block = map === undefined ? disks[0] : await readBlockDevice(context.host.files, map.dm)
  const [first] = devices
  if (block === undefined || first === undefined) throw notAttached(operation)
  // What it was attached as; the map's own name for a LUN attached by somebody else.
  const known = entry?.wwid ?? wwid ?? (await context.scsi.identity(first.hctl, { live: false })).wwid
  const proven = await proveDevice(context, operation, block, known, devices)
  const { device, paths } = proven
  for (const { disk, identity, sizeBytes, isLive } of paths) {
    assertExpected(operation, expected, disk, {
      ...identity,
      sizeBytes: isLive && sizeBytes > 0 ? sizeBytes : undefined,
    })
  }
  const whole = sizeOfPaths(operation, paths)
  if (whole !== undefined && device.sizeBytes > whole) {
    throw mismatch(operation, device.dm?.name ?? device.name, 'size', String(whole), String(device.sizeBytes))
  }
  const node = nodeOf(device)
  assertSize(operation, expected.sizeBytes, node.device, device.sizeBytes)
  await readTest(context.host, node.device, device.sizeBytes)
  return { target, lun, ...node, isReadOnly: isReadOnly(proven), wwid: known, paths: paths.map(toPath) }
}

function toPath({ disk, identity, isLive }: ProvenPath): VerifiedPath {
  return { disk, ...identity, isLive }
}

function notAttached({ target, lun }: Operation): LunError<'LUN_NOT_FOUND'> {
  return new LunError('LUN_NOT_FOUND', `LUN ${lun} of ${target} is not attached`, { target, lun, hctls: [] })
}
