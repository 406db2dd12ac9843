import { LunError } from '../../core/error.ts'
import { formatHctl, type Hctl } from '../../core/hctl.ts'
import { onAbort } from '../../flow/on-abort.ts'
import { until } from '../../flow/until.ts'
import type { Context } from '../context.ts'

/** How long, and whether it may be given up. */
export interface WriteThroughOptions {
  /** How long a path that does not work may take to say that it failed. */
  readonly busyMs: number
  /** How long one that works may take. */
  readonly removeMs: number
  /** What waits for such a path is given up. */
  readonly force: boolean
  readonly signal: AbortSignal
}

/** What could not be written, and why. */
export interface Unwritten {
  readonly disk: string
  readonly reason: string
  /** It waits still, and is given up. Otherwise the kernel has dropped it: waiting longer, or again, writes nothing. */
  readonly isGivenUp: boolean
}

/**
 * Writes what the kernel keeps of a disk through to it; answers what failed. Of a disk that nobody has open, there is
 * nothing to write, unless multipathd keeps it open: its last close wrote everything, or lost it. A write that failed
 * leaves nothing that another try would write.
 *
 * @throws {@link LunError} `TIMEOUT` where a path does not work that may come back, without `force`
 */
export async function writeThrough(
  context: Context,
  { hctl, disk }: { readonly hctl: Hctl; readonly disk: string },
  options: WriteThroughOptions
): Promise<Unwritten | undefined> {
  const { busyMs, force, signal } = options
  const over = new AbortController()
  const ignore = onAbort(signal, () => over.abort(signal.reason))
  const written = context.host.files.sync(`/dev/${disk}`).then(
    () => undefined,
    (error: unknown) => failureOf(disk, error)
  )
  try {
    const outcome = await Promise.race([written, untilStuck(context, hctl, disk, { ...options, signal: over.signal })])
    if (outcome !== STUCK) return outcome
  } finally {
    over.abort()
    ignore()
  }
  const awaited = `${disk} to be written, whose path ${formatHctl(hctl)} does not work but may again`
  if (force) return { disk, reason: `timed out waiting for ${awaited}`, isGivenUp: true }
  const message = `timed out after ${busyMs} ms waiting for ${awaited}; force gives up what is to be written`
  throw new LunError('TIMEOUT', message, { awaited, timeoutMs: busyMs })
}

/**
 * Writes what the kernel may keep of a path that nobody was seen to use by itself: whoever wrote to it once and has closed it
 * has written nothing yet where multipathd or the map has it open. Mostly there is nothing to write. A path that does not
 * work is not waited for, since then nothing can be.
 */
export async function writeLeftBehind(
  { host, scsi }: Context,
  { hctl, disk }: { readonly hctl: Hctl; readonly disk: string },
  { busyMs, signal }: Pick<WriteThroughOptions, 'busyMs' | 'signal'>
): Promise<void> {
  if ((await scsi.state(hctl)) !== 'running') return
  const over = new AbortController()
  const ignore = onAbort(signal, () => over.abort(signal.reason))
  const written = host.files.sync(`/dev/${disk}`).catch(() => {})
  await Promise.race([written, host.clock.sleep(busyMs, over.signal).catch(() => {})])
  over.abort()
  ignore()
}

const STUCK = 'stuck'

// A write cannot be stopped, and lasts as long as the kernel hopes for its path. One that works may have a lot to write.
async function untilStuck(
  { host, scsi }: Context,
  hctl: Hctl,
  disk: string,
  { busyMs, removeMs, signal }: WriteThroughOptions
): Promise<typeof STUCK> {
  await host.clock.sleep(busyMs, signal)
  await until(host.clock, async () => (await scsi.state(hctl)) !== 'running', {
    awaited: `${disk} to be written`,
    timeoutMs: removeMs,
    everyMs: LOOK_MS,
    signal,
  })
  return STUCK
}

const LOOK_MS = 500

// What a device answers, or a path that is gone. Anything else, such as too many open files, tells nothing of the device.
const IO_ERRORS = [
  'EIO',
  'ENOSPC',
  'EDQUOT',
  'EREMOTEIO',
  'ENOLINK',
  'ETIMEDOUT',
  'EBADE',
  'ENODATA',
  'EILSEQ',
  'EROFS',
]

function failureOf(disk: string, error: unknown): Unwritten {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (!IO_ERRORS.includes(code)) throw error
  return { disk, reason: error instanceof Error ? error.message : code, isGivenUp: false }
}
