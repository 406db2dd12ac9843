import type { Wwid } from '../../core/wwid.ts'
import type { Context } from '../context.ts'
import type { Expiry, Owner } from '../journal/entries.ts'
import { consumedBy, expiryIn, isLasting } from '../journal/expiry.ts'
import type { Operation } from '../operation.ts'

/** The hold of an attach on its LUN. */
export interface Hold {
  /** Left out: until the owner lets go. */
  readonly ttlMs: number | undefined
  /** The owner did not have the LUN before. */
  readonly isNew: boolean
  /** How the owner held it before. */
  readonly former: Owner | undefined
  /** The volume that others hold, or this owner does already: it must be the one that is found. */
  readonly wwid: Wwid | undefined
}

export async function holdLun(context: Context, operation: Operation, ttlMs: number | undefined): Promise<Hold> {
  const { journal } = context
  const { wwid, owners = new Map<string, Owner>() } = (await journal.lun(operation)) ?? {}
  const former = owners.get(operation.owner)
  const isNew = former?.state !== 'attached'
  if (isNew) await journal.noteOwner(operation, operation.owner, 'attaching', await expiryOf(context, ttlMs))
  const isHeld = [...owners.values()].some(({ state }) => state === 'attached')
  return { ttlMs, isNew, former, wwid: isHeld ? wwid : undefined }
}

/** Notes that the owner has the LUN, and until when; whoever had it for good keeps it so. */
export async function noteHeld(context: Context, operation: Operation, hold: Hold): Promise<Expiry | undefined> {
  if (isLasting(hold.former)) return undefined
  const expiry = await expiryOf(context, hold.ttlMs)
  await context.journal.noteOwner(operation, operation.owner, 'attached', expiry)
  return expiry
}

/** The attach failed: what the owner had before ends when it would have. */
export async function restoreHold({ journal }: Context, operation: Operation, { former }: Hold): Promise<void> {
  if (former?.state !== 'attached' || former.expiry === undefined) return
  await journal.noteOwner(operation, operation.owner, 'attached', former.expiry)
}

/** Ends the holds that were there for this owner to come. That never fails an attach, since they expire all the same. */
export async function consumeHolds({ journal }: Context, operation: Operation): Promise<void> {
  try {
    const gone = consumedBy(operation.owner, (await journal.lun(operation))?.owners ?? new Map())
    if (gone.length > 0) await journal.dropOwners(operation, gone)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    operation.emit({ type: 'warning', message: `holds that are not needed any more stay until they expire: ${reason}` })
  }
}

async function expiryOf({ host }: Context, ttlMs: number | undefined): Promise<Expiry | undefined> {
  return ttlMs === undefined ? undefined : await expiryIn(host.files, 'prewarm', ttlMs)
}
