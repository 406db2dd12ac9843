import type { Files } from '../../host/files.ts'
import type { Expiry, LunEntry, Owner } from './entries.ts'
import { domainOf } from './owner.ts'
import { uptimeMs } from './uptime.ts'

type Owners = LunEntry['owners']

/** The end of a hold that begins now. */
export async function expiryIn(files: Files, kind: Expiry['kind'], ms: number): Promise<Expiry> {
  return { kind, untilMs: Math.round(await uptimeMs(files)) + ms }
}

export function isExpired({ expiry }: Owner, nowMs: number): boolean {
  return expiry !== undefined && expiry.untilMs <= nowMs
}

/** Whether an owner has the LUN until it lets go of it. */
export function isLasting(owner: Owner | undefined): boolean {
  return owner?.state === 'attached' && owner.expiry === undefined
}

/** Those who hold a LUN now: one whose time is over does not, though nobody has released it yet. */
export async function currentOwners(files: Files, owners: Owners): Promise<readonly string[]> {
  const all = [...owners]
  if (all.every(([, { expiry }]) => expiry === undefined)) return all.map(([name]) => name)
  const nowMs = await uptimeMs(files)
  return all.flatMap(([name, owner]) => (isExpired(owner, nowMs) ? [] : [name]))
}

/**
 * The holds that have served their purpose once `owner` has the LUN: a lingering one for whoever comes next, a prewarmed
 * one for a guest. Another owner, a backup say, takes nothing from the guest that it was made ready for.
 */
export function consumedBy(owner: string, owners: Owners): readonly string[] {
  const isGuest = domainOf(owner) !== undefined
  return [...owners].flatMap(([name, { expiry }]) => {
    const isConsumed = expiry?.kind === 'linger' || (expiry?.kind === 'prewarm' && isGuest)
    return name !== owner && isConsumed ? [name] : []
  })
}
