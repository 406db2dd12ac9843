import { checkOptions } from '../core/options.ts'
import { createLocalHost } from '../host/local.ts'
import { type DetachOptions, detachLun } from './detach.ts'
import type { Detachment } from './detaching/detachment.ts'
import { createJournal } from './journal/journal.ts'
import { domainOf, ownerName } from './journal/owner.ts'
import { journalUnreadable } from './journal/store.ts'

/**
 * Lets go of every LUN that an owner holds, as the journal tells: for those who know who, but no longer what. Does nothing
 * for an owner that holds nothing. A LUN that cannot be let go of keeps none of the others.
 *
 * @throws what `detachLun` throws, for the first LUN that could not be let go of; {@link LunError} `JOURNAL_UNREADABLE`
 * when the owner may hold one that the journal cannot tell of, after all others
 * @example
 * ```ts
 * import { releaseOwner } from 'xen-lun'
 *
 * for (const { target, outcome } of await releaseOwner('backend/vbd/3/51712')) console.log(target, outcome)
 * ```
 */
export async function releaseOwner(
  owner: string,
  options: Omit<DetachOptions, 'owner'> = {}
): Promise<readonly Detachment[]> {
  const host = checkOptions(options).host ?? createLocalHost()
  const name = ownerName(owner)
  const journal = createJournal(host.files)
  const luns = await journal.luns()
  const held = luns.filter(({ entry, isStale }) => !isStale && entry?.owners.has(name) === true)
  const results = await Promise.allSettled(
    held.map(async ({ target, lun }) => await detachLun({ target, lun }, { ...options, host, owner: name }))
  )
  const released = results.map(result => {
    if (result.status === 'rejected') throw result.reason
    return result.value
  })
  // A backend is one disk, which is one LUN.
  const isAll = domainOf(name) !== undefined && held.length > 0
  if (!isAll && luns.some(({ entry }) => entry === undefined)) {
    const [flaw] = await journal.unreadable()
    if (flaw !== undefined) throw journalUnreadable(flaw)
  }
  return released
}
