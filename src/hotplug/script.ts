import { LunError } from '../core/error.ts'
import type { LunEvent } from '../core/event.ts'
import { oneLine } from '../core/printable.ts'
import type { Host } from '../host/host.ts'
import type { Xenstore } from '../xenstore/types.ts'
import { createXenstore } from '../xenstore/xenstore.ts'
import { type Action, isLater, type LaterAction, parseArguments } from './action.ts'
import { add } from './add.ts'
import { divide, USUAL_MS, usualTimeout } from './budget.ts'
import type { Call, Progress } from './call.ts'
import { complete } from './complete.ts'
import { describeEvent } from './event-line.ts'
import { expire } from './expire.ts'
import { failureLine } from './failure-line.ts'
import { inTime } from './in-time.ts'
import { remove } from './remove.ts'
import { reportFailure } from './report.ts'
import { SCRIPT_FOLDER } from './request.ts'
import { watchCommands } from './running.ts'
import { DEFAULT_SETTINGS, readSettings } from './settings.ts'
import { parseXenbusPath, type XenbusPath } from './xenbus-path.ts'

/** How the script was called. */
export interface Invocation {
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  /** How long the toolstack has been waiting already: Node takes its time to start. */
  readonly spentMs: number
}

/** What the script is given by the process it runs in. */
export interface ScriptPorts {
  readonly host: Host
  /** Names this run in the log and in `hotplug-error`. */
  readonly operationId: string
  /** For the log of Xen's hotplug scripts. */
  readonly log: (line: string) => void
  /** For a person at a terminal: what cannot be told through xenstore. */
  readonly complain: (line: string) => void
  readonly startLater: (action: LaterAction) => void
  /** What the run was at has not ended with it, and holds what it holds until this process ends. */
  readonly onAbandoned: () => void
  /** Fires when the process is told to end: what was done is taken back. */
  readonly signal: AbortSignal
  /** Resolves with an error that nobody caught: there is nothing left but to say so. */
  readonly crash: Promise<unknown>
}

const ROLE_MS = 2000

const WORK: Readonly<Record<Action, (call: Call) => Promise<void>>> = { add, remove, complete, expire }

/**
 * Runs the block script once and resolves with its exit status. 0 from `add` means that `physical-device` is written;
 * any other end has left its reason in `hotplug-error`, and comes before the toolstack loses its patience.
 */
export async function runScript(invocation: Invocation, ports: ScriptPorts): Promise<0 | 1> {
  const { host, log, complain } = ports
  try {
    const action = parseArguments(invocation.args)
    const backend = parseXenbusPath(invocation.env['XENBUS_PATH'])
    const xenstore = createXenstore(host)
    try {
      return await runFor(action, { backend, xenstore, invocation, ports })
    } finally {
      await xenstore.close()
    }
  } catch (error) {
    // Called by a person, or in a way no toolstack does: there is no disk to write this to.
    const line = oneLine(error instanceof Error ? error.message : String(error))
    log(line)
    complain(`block-xen-lun: ${line}`)
    return 1
  }
}

interface Disk {
  readonly backend: XenbusPath
  readonly xenstore: Xenstore
  readonly invocation: Invocation
  readonly ports: ScriptPorts
}

async function runFor(action: Action, { ports: given, ...rest }: Disk): Promise<0 | 1> {
  const over = new AbortController()
  const ports = { ...given, signal: AbortSignal.any([given.signal, over.signal]) }
  const disk = { ...rest, ports }
  const { backend } = disk
  const log = (line: string): void => ports.log(`${backend.path}: ${action}: ${line}`)
  const { clock } = ports.host
  const beganMs = clock.now()
  const spentMs = (): number => disk.invocation.spentMs + (clock.now() - beganMs)
  const { crash, onAbandoned } = ports
  let timeoutMs = USUAL_MS
  try {
    const ends = { clock, crash, onAbandoned }
    const limits = { ...ends, limitMs: divide(timeoutMs, spentMs()).stopMs, overdue: unprepared }
    const { settings, isDriverDomain, ...prepared } = await inTime(limits, prepare(action, disk, log))
    timeoutMs = prepared.timeoutMs
    const budget = divide(timeoutMs, spentMs())
    const call = toCall(disk, { settings, isDriverDomain, budget, log })
    const limitMs = isLater(action) ? undefined : budget.stopMs
    await inTime({ ...ends, limitMs, overdue: () => overdue(call) }, WORK[action](call))
    log(`done after ${Math.round(spentMs())} ms`)
    return 0
  } catch (error) {
    // Nothing that was begun is to have an effect from here on but to take itself back.
    over.abort(error)
    // All the time that is left, on a busy host, and some of it in any case.
    const reportMs = Math.max(divide(timeoutMs, spentMs()).reportMs, timeoutMs - spentMs())
    await tell(action, disk, { log, error, reportMs })
    return 1
  }
}

async function prepare(
  action: Action,
  disk: Disk,
  log: Call['log']
): Promise<Pick<Call, 'settings' | 'isDriverDomain'> & { readonly timeoutMs: number }> {
  const { host } = disk.ports
  const settings = await readSettings(host.files).catch((error: unknown) => {
    // Somebody's typing error must not keep a disk from being let go.
    if (action !== 'remove') throw error
    log(`default settings: ${error instanceof Error ? error.message : String(error)}`)
    return DEFAULT_SETTINGS
  })
  // To `add` it makes no difference.
  const isDriverDomain = action === 'remove' && (await isInDriverDomain(disk))
  const timeoutMs = settings.timeoutMs ?? (await usualTimeout(host.files, { isShort: isDriverDomain }))
  return { settings, isDriverDomain, timeoutMs }
}

/** Dom0 is domain 0; where it is not known, waiting longer than a driver domain may is better than giving up early. */
async function isInDriverDomain({ backend, xenstore, ports }: Disk): Promise<boolean> {
  if (backend.backendDomid !== undefined) return backend.backendDomid !== 0
  const limits = { clock: ports.host.clock, limitMs: ROLE_MS, overdue: () => new Error('not told in time') }
  const domid = await inTime(limits, xenstore.tryRead('domid')).catch(() => undefined)
  return domid !== undefined && domid !== '0'
}

function toCall(
  { backend, xenstore, invocation, ports }: Disk,
  rest: Pick<Call, 'settings' | 'isDriverDomain' | 'budget' | 'log'>
): Call {
  const { host, signal, startLater } = ports
  const path = invocation.env['script'] ?? ''
  const scriptFolder = /^(?:\/[\w.-]+)+\/[\w.-]+$/.test(path) ? path.slice(0, path.lastIndexOf('/')) : SCRIPT_FOLDER
  const { executor, ...commands } = watchCommands(host.executor)
  const progress: { -readonly [K in keyof Progress]: Progress[K] } = { failed: undefined, step: undefined, ...commands }
  const onEvent = (event: LunEvent): void => {
    if (event.type === 'failed') progress.failed = event.message
    if (event.type === 'start') progress.step = event.step
    const line = describeEvent(event)
    if (line !== undefined) rest.log(line)
  }
  return {
    ...rest,
    host: { ...host, executor },
    xenstore,
    backend,
    signal,
    scriptFolder,
    onEvent,
    startLater,
    progress,
  }
}

function unprepared(): LunError<'TIMEOUT'> {
  const awaited = 'the settings to be read'
  return new LunError('TIMEOUT', `timed out waiting for ${awaited}`, { awaited, timeoutMs: USUAL_MS })
}

/** Says what it hangs at. The journal knows what is left then. */
function overdue({ budget, progress }: Call): LunError<'TIMEOUT'> {
  const { failed, step = 'the request', running } = progress
  const [command] = running()
  const awaited = command === undefined ? `the end of ${step}` : `the end of ${step}: ${command}`
  const cause = failed === undefined ? '' : `${failed}; `
  const message = `${cause}timed out waiting for ${awaited}; see xen-lun reconcile`
  return new LunError('TIMEOUT', message, { awaited, timeoutMs: budget.stopMs })
}

/** Where the toolstack looks, into the log, and where xenstore does not answer, to whoever reads the standard error. */
async function tell(
  action: Action,
  { backend, xenstore, ports }: Disk,
  { log, error, reportMs }: { readonly log: Call['log']; readonly error: unknown; readonly reportMs: number }
): Promise<void> {
  const { host, operationId, complain } = ports
  const line = failureLine(error, operationId)
  log(`failed: ${error instanceof Error ? error.message : String(error)}`)
  if (isLater(action)) return
  const problem = await reportFailure({ xenstore, clock: host.clock }, backend.path, { error, line }, reportMs)
  if (problem === undefined) return
  log(`not reported: ${problem}`)
  complain(`block-xen-lun: ${line}`)
}
