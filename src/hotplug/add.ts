import { isLunError, LunError } from '../core/error.ts'
import { attachLun } from '../lun/attach.ts'
import type { Attachment } from '../lun/attaching/attachment.ts'
import type { AttachOptions } from '../lun/attaching/establish.ts'
import type { HandedOver } from '../lun/attaching/hand-over.ts'
import type { AttachRequest } from '../lun/request.ts'
import { type Call, keyOf } from './call.ts'
import { readRequest } from './request.ts'

/**
 * Attaches the LUN of a disk and tells blkback its device. It returns with the paths that are there; a run of its own
 * completes those that are missing.
 */
export async function add(call: Call): Promise<void> {
  const request = await readRequest(call)
  const { outcome, device, wwid, isDegraded } = await attach(call, request)
  call.log(`${outcome}: ${device}, volume ${wwid}`)
  if (isDegraded) call.startLater('complete')
}

async function attach(call: Call, request: AttachRequest): Promise<Attachment> {
  const { host, backend, budget, signal, onEvent, progress } = call
  const options: AttachOptions = {
    host,
    owner: backend.path,
    timeoutMs: budget.workMs,
    // All that is left: the script stops waiting by itself.
    undoTimeoutMs: budget.stopMs,
    signal,
    onEvent,
    handOver: async device => {
      await assertWritable(call, request, device)
      await connect(call, device)
    },
  }
  try {
    return await attachLun(request, options)
  } catch (error) {
    const cut = progress.cut()
    if (!isLunError(error, 'TIMEOUT') || cut === undefined) throw error
    throw new LunError('TIMEOUT', `${error.message}: ${cut}`, error.details, { cause: error })
  }
}

/** A guest that may write finds out by I/O errors, and its file system by then is not what it believes. */
async function assertWritable(
  call: Call,
  { target, lun = 0 }: AttachRequest,
  { device, isReadOnly }: HandedOver
): Promise<void> {
  if (!isReadOnly || (await call.xenstore.tryRead(keyOf(call, 'mode'))) === 'r') return
  const message = `LUN ${lun} of ${target} (${device}) is read-only, and the disk is to be written: attach it with access=ro`
  throw new LunError('LUN_READ_ONLY', message, { target, lun, device })
}

/** All keys at once: who watches sees none of them, or all. */
async function connect(call: Call, { device, deviceNumber: { major, minor } }: HandedOver): Promise<void> {
  const { xenstore, signal } = call
  // The kernel reads it by `%x:%x`, and takes no second value: drivers/block/xen-blkback/xenbus.c, backend_changed.
  const physicalDevice = `${major.toString(16)}:${minor.toString(16)}`
  const present = await xenstore.tryRead(keyOf(call, 'physicalDevice'))
  if (present !== undefined && present !== physicalDevice) throw taken(call, present, physicalDevice)
  // Not into a directory that the toolstack has removed meanwhile.
  await xenstore.read(keyOf(call, 'params'))
  await xenstore.rm(keyOf(call, 'error'))
  // The toolstack may have been told meanwhile that it failed.
  signal.throwIfAborted()
  await xenstore.write({
    [keyOf(call, 'physicalDevice')]: physicalDevice,
    [keyOf(call, 'physicalDevicePath')]: device,
    [keyOf(call, 'status')]: 'connected',
  })
}

function taken({ backend: { path } }: Call, found: string, expected: string): LunError<'BACKEND_TAKEN'> {
  const message = `${path} serves device ${found} already, and blkback takes no other (${expected}): detach the disk first`
  return new LunError('BACKEND_TAKEN', message, { backend: path, found, expected })
}
