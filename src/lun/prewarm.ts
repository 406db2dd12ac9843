import { integer, invalid } from '../core/check.ts'
import { checkOptions } from '../core/options.ts'
import { createLocalHost } from '../host/local.ts'
import { attachAs, toAttachment } from './attach.ts'
import type { Attachment } from './attaching/attachment.ts'
import { type Context, createContext } from './context.ts'
import { type DetachOptions, detachLocked } from './detach.ts'
import type { Detachment } from './detaching/detachment.ts'
import { leaveTarget } from './detaching/leave.ts'
import { isLasting } from './journal/expiry.ts'
import { domainOf, type OwnerName, ownerName } from './journal/owner.ts'
import { uptimeMs } from './journal/uptime.ts'
import { type LunOptions, OPERATION_TIMEOUT_MS, type Operation, runOnLun } from './operation.ts'
import { type AttachRequest, checkAddress, type LunAddress } from './request.ts'

/** Options of {@link prewarm}. */
export interface PrewarmOptions extends Omit<LunOptions, 'owner'> {
  /** Who keeps the LUN ready, such as the migration: any name that is no XENBUS_PATH. */
  readonly owner: string
  /** How long it is kept from now on: 1000 (a second) to 86 400 000 (a day). */
  readonly ttlMs: number
}

/** A LUN that is ready for a guest to come. */
export interface Prewarmed extends Attachment {
  /** How much longer it is kept. Undefined where this owner attached it for good before, which stays so. */
  readonly expiresInMs: number | undefined
}

/** Options of {@link cooldown}. */
export interface CooldownOptions extends Omit<DetachOptions, 'owner' | 'force' | 'lingerMs'> {
  /** Who kept it ready. */
  readonly owner: string
}

const MIN_TTL_MS = 1000
const MAX_TTL_MS = 86_400_000

/**
 * Attaches a LUN ahead of the guest that will need it, with all checks of `attachLun`. On the host a guest migrates to,
 * Xen runs the block script's `add` while the guest stands still; of a LUN that is there already, `add` only checks and
 * writes to xenstore: no login.
 *
 * The hold ends when a guest's `add` has the LUN (an attach whose owner is a XENBUS_PATH), with `cooldown`, or after
 * `ttlMs`, counted by the host's uptime, whether or not this process lives. Called again by the same owner it lasts
 * `ttlMs` from then. An attach by another owner, a backup say, leaves it: it would take from the guest what was made ready
 * for it, and let go of it before the guest comes.
 *
 * No timer runs in this process: `releaseExpired`, `reconcile`, and a detach by the LUN's last other owner end what has
 * expired, so somebody has to call one of them. Until then the LUN stays.
 *
 * A guest of this host may use the LUN meanwhile, as it does when it migrates to its own host, but not the same volume
 * through another target.
 *
 * @throws {@link LunError} as `attachLun`; `INVALID_INPUT` also for `owner` and `ttlMs`
 * @example
 * ```ts
 * import { cooldown, prewarm } from 'xen-lun'
 *
 * const lun = { target: 'iqn.2001-05.com.equallogic:0-8a0906-vm1', lun: 0 }
 * const { device } = await prewarm(
 *   { ...lun, portals: ['10.0.1.1', '10.0.2.1'] },
 *   { owner: 'migration of vm1', ttlMs: 600_000 }
 * )
 * console.log(device, 'is ready: migrate now')
 * await cooldown(lun, { owner: 'migration of vm1' }) // should it not come
 * ```
 */
export async function prewarm(request: AttachRequest, options: PrewarmOptions): Promise<Prewarmed> {
  const owner = holderName(checkOptions(options).owner)
  const ttlMs = integer(options.ttlMs, 'ttlMs', MIN_TTL_MS, MAX_TTL_MS)
  const { host = createLocalHost(), timeoutMs, signal, onEvent } = options
  const how = { host, owner, timeoutMs, signal, onEvent }
  const established = await attachAs({ ttlMs }, request, how)
  const { expiry } = established
  const expiresInMs =
    expiry === undefined ? undefined : Math.max(0, Math.round(expiry.untilMs - (await uptimeMs(host.files))))
  return { ...toAttachment(established, how), expiresInMs }
}

/**
 * Gives up what `prewarm` keeps ready for `owner`, and detaches the LUN if nobody else holds it. Does nothing, and says
 * so, where there is no such hold: nothing that was attached for good, or by others, is touched.
 *
 * @throws {@link LunError} as `detachLun`
 * @example
 * ```ts
 * import { cooldown } from 'xen-lun'
 *
 * const { outcome } = await cooldown({ target: 'iqn.2001-05.com.example:vm1' }, { owner: 'migration of vm1' })
 * console.log(outcome) // 'released' if the guest has it, 'already-detached' if its `add` ended the hold
 * ```
 */
export async function cooldown(address: LunAddress, options: CooldownOptions): Promise<Detachment> {
  const owner = holderName(checkOptions(options).owner)
  const place = checkAddress(address)
  const { host = createLocalHost(), busyMs, timeoutMs, signal, onEvent } = options
  const context = createContext(host)
  return await runOnLun(
    host,
    { operation: 'detach', ...place },
    { owner, timeoutMs, signal, onEvent },
    async operation => await coolDownLocked(context, operation, { busyMs, timeoutMs })
  )
}

async function coolDownLocked(
  context: Context,
  operation: Operation,
  options: Pick<CooldownOptions, 'busyMs' | 'timeoutMs'>
): Promise<Detachment> {
  const { target, lun, owner } = operation
  const entry = await context.journal.lun(operation)
  const held = entry?.owners.get(owner)
  if (held !== undefined && !isLasting(held)) return await detachLocked(context, operation, options)
  if (entry === undefined) {
    // Nobody holds it, so what is left of ours is of one who died on the way in or out.
    await context.journal.forgetLun(operation)
    await leaveTarget(context, operation, { removeMs: options.timeoutMs ?? OPERATION_TIMEOUT_MS })
  }
  const owners = [...(entry?.owners.keys() ?? [])]
  return { outcome: 'already-detached', target, lun, wwid: entry?.wwid, owners, writes: 'written' }
}

function holderName(text: string): OwnerName {
  if (text === undefined) throw invalid('owner', text, 'is not given')
  const owner = ownerName(text)
  if (domainOf(owner) === undefined) return owner
  throw invalid('owner', text, 'is a backend, which holds its LUN until it is gone')
}
