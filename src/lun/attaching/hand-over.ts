import type { Context } from '../context.ts'
import type { Expiry } from '../journal/entries.ts'
import { withVolume } from '../locks.ts'
import type { Operation } from '../operation.ts'
import type { AttachWish } from '../request.ts'
import { assertOneDevice, findTwins } from '../volume/elsewhere.ts'
import { describeLun, findDevices, namesOf } from '../volume/find-lun.ts'
import { assertFree } from '../volume/free.ts'
import { assertSize } from '../volume/lun-identity.ts'
import { isReadOnly, type ProvenDevice, proveDevice } from '../volume/proof.ts'
import { assertNotShared, guardSharing } from '../volume/sharing.ts'
import { makeWhole } from '../volume/size.ts'
import type { VolumeDevices } from '../volume/users.ts'
import type { Attachment } from './attachment.ts'
import { assertByItself, type FoundDevice, type LunDeviceNode, nodeOf } from './device.ts'
import { type Hold, noteHeld } from './hold.ts'
import type { PathContext } from './path.ts'

/** A device that is ready to be used. */
export type HandedOver = LunDeviceNode & Pick<Attachment, 'wwid'>

/** What its owner has, and until when. */
export interface Held {
  readonly node: LunDeviceNode
  readonly expiry: Expiry | undefined
}

/**
 * Proves the device, as it is now and for this owner alone, notes that he has it, and gives it to him.
 *
 * @throws {@link LunError} `LUN_SHARED`, `LUN_IN_USE`, `LUN_MISMATCH`, `NO_PATHS`, `DEVICE_UNREADABLE`, `TIMEOUT`; what `receive` throws
 */
export async function handOver(
  { context, operation, wish, identity, made }: PathContext,
  found: FoundDevice,
  hold: Hold,
  receive: ((device: HandedOver) => Promise<void>) | undefined
): Promise<Held> {
  const { wwid } = identity
  const isUser = hold.ttlMs === undefined
  // Whoever hands it over, or flushes its map, by another target does so before, and is seen, or afterwards, and sees us.
  return await withVolume(context.host, wwid, operation, async () => {
    return await guardSharing(context, operation, wwid, async () => {
      const devices = await findDevices(context, await context.iscsiadm.sessions(operation), operation.lun)
      const volume = await describeLun(context.host.files, devices, wwid)
      const own = volume.disks.map(({ name }) => name)
      const twins = await findTwins(context.host.files, wwid, own)
      if (wish.sharing === 'refused') {
        const domids = await assertNotShared(context, operation, namesOf(volume, wwid), { isUser })
        const all = { ...volume, disks: [...volume.disks, ...twins], foreignPaths: [] }
        const device = found.block.name
        const free = async (): Promise<void> => await assertFree(context, operation, all, { device, domids })
        if (isUser) await operation.step('in-use', free)
      }
      const disk = found.hctl === undefined ? undefined : found.block.name
      await assertOneDevice(context, operation, wwid, { disk, twins })
      const node = await operation.step('identity', async () => {
        const proven = await proveDevice(context, operation, found.block, wwid, devices)
        return await whole(context, operation, wish, { node: found.node, proven, volume })
      })
      // From here on it is not taken back because of an abort: somebody may use it already.
      operation.signal.throwIfAborted()
      await context.journal.notePlain(operation, operation.owner, found.hctl)
      const expiry = await noteHeld(context, operation, hold)
      if (receive === undefined) return { node, expiry }
      made.isOffered = true
      await operation.step('hand-over', async () => await receive({ ...node, wwid }))
      return { node, expiry }
    })
  })
}

interface Candidate {
  readonly node: LunDeviceNode
  readonly proven: ProvenDevice
  readonly volume: VolumeDevices
}

/** The device as it is handed over: by itself or as a map, and as large as the LUN. */
async function whole(
  context: Context,
  operation: Operation,
  { expected }: Pick<AttachWish, 'expected'>,
  { node, proven, volume }: Candidate
): Promise<LunDeviceNode> {
  // A map may have come up since it was found.
  if (proven.device.dm === undefined) assertByItself(operation, proven.device)
  const device = await makeWhole(context, operation, proven, volume)
  assertSize(operation, expected.sizeBytes, node.device, device.sizeBytes)
  return { ...nodeOf(device), device: node.device, isReadOnly: isReadOnly({ ...proven, device }) }
}
