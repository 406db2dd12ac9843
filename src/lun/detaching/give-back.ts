import type { FailedStep } from '../../core/error-details.ts'
import { samePortal } from '../../core/portal.ts'
import { collectFailures } from '../../flow/collect.ts'
import { readPortalName } from '../../iscsi/address.ts'
import { standsFor } from '../../iscsi/db-path.ts'
import type { BrokenRecord, NodeRecord } from '../../iscsi/node-db.ts'
import type { IscsiSession } from '../../iscsi/session.ts'
import type { Context } from '../context.ts'
import { sessionKey } from '../journal/jobs.ts'
import type { Operation } from '../operation.ts'

/** What became of a target's node records. */
export interface GivenBack {
  readonly isChanged: boolean
  readonly failed: readonly FailedStep[]
}

/**
 * Deletes the node records this library made, and puts back what it changed in others. Not for an endpoint that has a
 * session still: whoever's it is, it was made by its record; but what is somebody else's altogether is put back. The
 * caller holds the target's lock.
 */
export async function giveBackRecords(
  { nodeDb, journal }: Context,
  { target, signal }: Pick<Operation, 'target' | 'signal'>,
  sessions: readonly IscsiSession[]
): Promise<GivenBack> {
  const { records: made, changes, logins } = await journal.target(target)
  if (made.length + changes.length === 0) return { isChanged: false, failed: [] }
  const used: readonly (string | undefined)[] = sessions.map(sessionKey)
  // A session that does not tell its endpoint may be at any of them.
  const isFree = (endpoint: string): boolean => !used.includes(endpoint) && !used.includes(undefined)
  const gone = made.filter(isFree)
  const { records, broken } = await nodeDb.recordsOf(target)
  const paths = [...records, ...broken].filter(record => gone.some(endpoint => standsAt(record, endpoint)))
  const free = changes.filter(({ endpoint }) => isFree(endpoint) || !logins.includes(endpoint))
  const deleted = await collectFailures(
    paths.map(({ path }) => [`delete node record ${path}`, async () => await nodeDb.remove(path, { signal })])
  )
  if (deleted.length === 0 && gone.length > 0) await journal.strikeTarget(target, { records: gone })
  const restored = await collectFailures(
    free.map(change => [
      `put back node record ${change.path}`,
      async () => {
        await nodeDb.putBack(change, change.former, { signal })
        await journal.strikeTarget(target, { changes: [change.path] })
      },
    ])
  )
  return { isChanged: paths.length + free.length > 0, failed: [...deleted, ...restored] }
}

/** Whether what stands in the place of a record, readable or not, stands in that of an endpoint's. */
export function standsAt({ path, ...record }: BrokenRecord | NodeRecord, endpoint: string): boolean {
  const [name = '', wanted] = endpoint.split(' ')
  const at = readPortalName(name)
  const place = 'portal' in record ? record : standsFor(path)
  if (at === undefined || place === undefined || !samePortal(place.portal, at)) return false
  return place.iface === undefined || place.iface === wanted
}
