import { isTraced, traceOf } from '../host/trace.ts'
import type { FormerSettings } from './node-db-write.ts'
import { isSecretSetting } from './record-settings.ts'
import type { StandingRecord } from './standing-record.ts'

/** Credentials of ours in a record that was made, to be known again without the secrets themselves. */
export interface LentCredentials {
  /** What goes with the secrets, and what it was. */
  readonly former: FormerSettings
  /** Of the secrets that were ever ours there, see `traceOf`. */
  readonly traces: readonly string[]
}

/** What of these settings is credentials; undefined without a secret. */
export function lentCredentials(former: FormerSettings): LentCredentials | undefined {
  const auth = [...former].filter(([name]) => name.includes('.auth.'))
  const secrets = auth.flatMap(([name, { ours }]) => (isSecretSetting(name) ? ours : [])).filter(text => text !== '')
  if (secrets.length === 0) return undefined
  return {
    former: new Map(auth.filter(([name]) => !isSecretSetting(name))),
    traces: secrets.map(text => traceOf(text)),
  }
}

/** Both, what was before being that of the earlier ones. */
export function mergeLent(
  earlier: LentCredentials | undefined,
  later: LentCredentials | undefined
): LentCredentials | undefined {
  if (earlier === undefined || later === undefined) return earlier ?? later
  const former = new Map(earlier.former)
  for (const [name, { before, ours }] of later.former) {
    const known = former.get(name)
    former.set(name, { before: known?.before ?? before, ours: [...new Set([...(known?.ours ?? []), ...ours])] })
  }
  return { former, traces: [...earlier.traces, ...later.traces] }
}

/** What to put back so that a record loses our credentials; nothing where it has no secret of ours any more. */
export function formerWithoutLent(
  lent: LentCredentials | undefined,
  found: StandingRecord | undefined
): FormerSettings {
  const standing = [...(found?.settings ?? [])].filter(([name, value]) => isLent(lent, name, value))
  if (lent === undefined || standing.length === 0) return new Map()
  const secrets = standing.map(([name, value]) => [name, { before: '', ours: [value] }] as const)
  return new Map([...lent.former, ...secrets])
}

/** Whether a setting holds a secret that was ours. */
export function isLent(lent: LentCredentials | undefined, name: string, value: string): boolean {
  return lent !== undefined && isSecretSetting(name) && isTraced(value, lent.traces)
}
