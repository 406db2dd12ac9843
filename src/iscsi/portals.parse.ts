import { type Iqn, readIqn } from '../core/iqn.ts'
import type { Portal } from '../core/portal.ts'
import { readPortal, readTpgt } from './address.ts'
import { unexpected, wholeLinesOf } from './lines.ts'

/** Where a target listens, as discovery or the node database says. */
export interface TargetPortal {
  readonly target: Iqn
  readonly portal: Portal
  /** Target portal group tag; missing when it is not known. */
  readonly tpgt?: number | undefined
}

// `10.0.0.1:3260,1 iqn.…`, `[fd00::1]:3260,-1 iqn.…`; a damaged record is listed as `[]:3260,4294967295 `.
const LINE = /^(?:\[([^\]\s]*)\]|([^\s,:[\]]*)):(\d{1,5}),(-?\d{1,10}) (\S*)$/

/**
 * Reads what discovery and `iscsiadm -m node` print. Lines that name no target or portal this library could use, such
 * as those of damaged records, are left out: one foreign entry must not hide all others.
 *
 * @throws {@link LunError} `UNEXPECTED_OUTPUT` for a line of another kind or a cut one
 */
export function parsePortals(text: string, tool: string): readonly TargetPortal[] {
  return wholeLinesOf(text, tool).flatMap((line, n) => {
    if (line === '') return []
    const [, bracketed, plain = '', port = '', tag = '', name] = LINE.exec(line) ?? []
    if (name === undefined) throw unexpected(tool, n + 1, line, 'is no "portal,tpgt target"')
    const target = readIqn(name)
    const portal = readPortal(bracketed ?? plain, port)
    if (target === undefined || portal === undefined) return []
    return [{ target, portal, tpgt: readTpgt(tag) }]
  })
}
