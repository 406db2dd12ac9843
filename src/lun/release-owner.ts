import { checkOptions } from '../core/options.ts'
import { createLocalHost } from '../host/local.ts'
import { type DetachOptions, detachLun } from './detach.ts'
import type { Detachment } from './detaching/detachment.ts'
import { createJournal } from './journal/journal.ts'
import { ownerName } from './journal/owner.ts'

/**
 * Lets go of every LUN that an owner holds, as the journal tells: for those who know who, but no longer what. Does nothing
 * for an owner that holds nothing. A LUN that cannot be let go of keeps none of the others.
 *
 * @throws what `detachLun` throws, for the first LUN that could not be let go of
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
  const luns = await createJournal(host.files).luns()
  const held = luns.filter(({ entry, isStale }) => !isStale && entry.owners[name] !== undefined)
  const results = await Promise.allSettled(
    held.map(async ({ target, lun }) => await detachLun({ target, lun }, { ...options, host, owner: name }))
  )
  return results.map(result => {
    if (result.status === 'rejected') throw result.reason
    return result.value
  })
}
