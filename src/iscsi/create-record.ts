import { invalid } from '../core/check.ts'
import type { OperationOptions } from '../core/options.ts'
import { formatPortal, samePortal } from '../core/portal.ts'
import { ifaceName } from './iface-name.ts'
import { type NewRecord, newRecord } from './node.commands.ts'
import type { NodeDb, NodeRecord } from './node-db.ts'
import type { Runner } from './runner.ts'

/** Makes a node record unless it is there: `iscsiadm -o new` would reset it, and in the old layout replace a neighbour. */
export async function createMissingRecord(
  { nodeDb, runner }: { readonly nodeDb: NodeDb; readonly runner: Runner },
  record: NewRecord,
  options?: OperationOptions
): Promise<'created' | 'exists'> {
  const command = newRecord(record)
  options?.signal?.throwIfAborted()
  const { records } = await nodeDb.recordsOf(record.target, { isSettled: true, signal: options?.signal })
  const there = records.filter(({ portal }) => samePortal(portal, record.portal))
  if (there.some(({ iface }) => iface === ifaceName(record.iface))) return 'exists'
  const rival = there.find(isOnlyOne)
  if (rival !== undefined) {
    const at = formatPortal(record.portal)
    throw invalid('iface', record.iface, `would replace the record of ${rival.iface} at ${at}, made without a tpgt`)
  }
  await runner.whole(command, options)
  return 'created'
}

// The old layout: a file ADDRESS,PORT instead of a folder with a file per interface.
function isOnlyOne({ path }: NodeRecord): boolean {
  return /,\d+$/.test(path)
}
