import type { FailedStep } from '../../core/error-details.ts'
import { collectFailures } from '../../flow/collect.ts'
import type { IscsiSession } from '../../iscsi/session.ts'
import type { StandingRecord } from '../../iscsi/standing-record.ts'
import type { Context } from '../context.ts'
import { sessionKey } from '../journal/jobs.ts'
import type { Operation } from '../operation.ts'
import { type ClaimedRecord, claimedRecords, STAYS } from './own-records.ts'

/** What became of a target's node records. */
export interface GivenBack {
  readonly isChanged: boolean
  readonly failed: readonly FailedStep[]
}

type Place = Pick<Operation, 'target' | 'signal'> & Partial<Pick<Operation, 'emit'>>

/**
 * Deletes the node records this library made, and puts back what it changed in others. One that somebody else made anew or
 * changed, or of which nobody can say who made it, stays as it is, and that is told. Not for an endpoint that has a
 * session still: whoever's it is, it was made by its record; but what is somebody else's altogether is put back. The
 * caller holds the target's lock.
 */
export async function giveBackRecords(
  context: Context,
  place: Place,
  sessions: readonly IscsiSession[]
): Promise<GivenBack> {
  const { nodeDb, journal } = context
  const { target, signal } = place
  const { intents, changes, logins } = await journal.target(target)
  if (intents.length + changes.length === 0) return { isChanged: false, failed: [] }
  const used: readonly (string | undefined)[] = sessions.map(sessionKey)
  // A session that does not tell its endpoint may be at any of them.
  const isFree = (endpoint: string): boolean => !used.includes(endpoint) && !used.includes(undefined)
  const claimed = (await claimedRecords(context, target, { intents, changes })).filter(({ endpoint }) =>
    isFree(endpoint)
  )
  let removed = 0
  const deleted = await collectFailures(
    claimed.map(record => [
      `delete node record ${record.path}`,
      async () => {
        if (await removeClaimed(context, place, record)) removed++
      },
    ])
  )
  const gone = {
    intents: intents.map(({ endpoint }) => endpoint).filter(isFree),
    changes: changes.filter(({ made, endpoint }) => made !== undefined && isFree(endpoint)).map(({ path }) => path),
  }
  if (deleted.length === 0) await journal.strikeTarget(target, gone)
  const others = changes.filter(
    ({ made, endpoint }) => made === undefined && (isFree(endpoint) || !logins.includes(endpoint))
  )
  const restored = await collectFailures(
    others.map(change => [
      `put back node record ${change.path}`,
      async () => {
        await nodeDb.putBack(change, change.former, { signal })
        await journal.strikeTarget(target, { changes: [change.path] })
      },
    ])
  )
  return { isChanged: removed + others.length > 0, failed: [...deleted, ...restored] }
}

async function removeClaimed({ nodeDb }: Context, { signal, emit }: Place, record: ClaimedRecord): Promise<boolean> {
  const { path, isOurs } = record
  let isKept = false
  const onlyIf = (found: StandingRecord): boolean => {
    isKept = !isOurs(found)
    return !isKept
  }
  const isRemoved = await nodeDb.remove(path, { signal, onlyIf })
  if (isKept) emit?.({ type: 'warning', message: `${path} ${STAYS}` })
  return isRemoved
}
