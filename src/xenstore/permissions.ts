import { quoted } from '../core/check.ts'
import { unavailable, xenstoreInvalid } from './errors.ts'

/** What a domain may do with a node. */
export type XenstoreAccess = 'none' | 'read' | 'write' | 'read-write'

/** Who may do what with a node. dom0 may do everything, whatever they say. */
export interface XenstorePermissions {
  /** Number of the domain that owns the node: it may do everything with it. */
  readonly owner: number
  /** What the domains may do that are not in `access`. */
  readonly others: XenstoreAccess
  /** What single domains may do, by their numbers. */
  readonly access: Readonly<Record<number, XenstoreAccess>>
}

const LETTERS: Readonly<Record<XenstoreAccess, string>> = { none: 'n', read: 'r', write: 'w', 'read-write': 'b' }
const ACCESS: ReadonlyMap<string, XenstoreAccess> = new Map([
  ['n', 'none'],
  ['r', 'read'],
  ['w', 'write'],
  ['b', 'read-write'],
])
const MAX_DOMID = 65_535

/**
 * As xenstored takes them: the first word names the owner, and says what all others may do.
 *
 * @throws {@link LunError} `XENSTORE_INVALID`
 */
export function formatPermissions(path: string, { owner, others, access }: XenstorePermissions): readonly string[] {
  const word = (domid: number, may: XenstoreAccess): string => {
    const letter = Object.hasOwn(LETTERS, may) ? LETTERS[may] : undefined
    if (letter === undefined) throw xenstoreInvalid(path, `is given an unknown access: ${quoted(may)}`)
    if (!Number.isInteger(domid) || domid < 0 || domid > MAX_DOMID) {
      throw xenstoreInvalid(path, `is given to ${quoted(domid)}, which is no domain`)
    }
    return `${letter}${domid}`
  }
  return [word(owner, others), ...Object.entries(access).map(([domid, may]) => word(Number(domid), may))]
}

export function parsePermissions(words: readonly string[]): XenstorePermissions {
  const parsed = words.map(text => {
    const [, letter = '', domid] = /^([nrwb])(\d{1,5})$/.exec(text) ?? []
    const may = ACCESS.get(letter)
    if (may === undefined) throw unavailable(`garbled: ${quoted(text)} is no permission`)
    return [Number(domid), may] as const
  })
  const [first, ...rest] = parsed
  if (first === undefined) throw unavailable('garbled: a node without an owner')
  return { owner: first[0], others: first[1], access: Object.fromEntries(rest) }
}
