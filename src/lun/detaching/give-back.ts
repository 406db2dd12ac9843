import type { FailedStep } from '../../core/error-details.ts'
import { collectFailures } from '../../flow/collect.ts'
import { formerWithoutLent } from '../../iscsi/lent-credentials.ts'
import type { IscsiSession } from '../../iscsi/session.ts'
import { lookAtRecord, type StandingRecord } from '../../iscsi/standing-record.ts'
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
 * changed, or of which nobody can say who made it, stays, without credentials of ours, and that is told. Not for an endpoint that has a
 * session still: whoever's it is, it was made by its record; but what is somebody else's altogether is put back. The
 * caller holds the target's lock.
 */
export async function giveBackRecords(
  context: Context,
  place: Place,
  sessions: readonly IscsiSession[]
): Promise<GivenBack> {
  const { nodeDb, journal, host } = context
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
        const lent = formerWithoutLent(change.lent, await lookAtRecord(host.files, change.path))
        await nodeDb.putBack(change, new Map([...lent, ...change.former]), { signal })
        await journal.strikeTarget(target, { changes: [change.path] })
      },
    ])
  )
  return { isChanged: removed + others.length > 0, failed: [...deleted, ...restored] }
}

async function removeClaimed({ nodeDb }: Context, { signal, emit }: Place, record: ClaimedRecord): Promise<boolean> {
  const { path, isOurs, lent } = record
  let kept: StandingRecord | undefined
  const onlyIf = (found: StandingRecord): boolean => {
    kept = isOurs(found) ? undefined : found
    return kept === undefined
  }
  const isRemoved = await nodeDb.remove(path, { signal, onlyIf })
  if (kept === undefined) return isRemoved
  const former = formerWithoutLent(lent, kept)
  if (former.size > 0) await nodeDb.putBack({ path }, former, { signal })
  emit?.({ type: 'warning', message: `${path} ${STAYS}` })
  return isRemoved
}
