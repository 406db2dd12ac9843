import type { ConnectionOptions } from './connection.ts'
import { createLink, type Link } from './link.ts'
import { createNodes, toPairs, writePairs } from './nodes.ts'
import { inTransaction } from './transaction.ts'
import type { Xenstore } from './types.ts'
import { createWatch } from './watch.ts'

/** Xenstore in its own words, over a connection. */
export interface NativeXenstore extends Xenstore {
  readonly link: Link
}

export function createNativeXenstore(options: ConnectionOptions): NativeXenstore {
  const { clock } = options
  const link = createLink(options)
  const close = async (): Promise<void> => link.close()
  const transaction: Xenstore['transaction'] = async (task, operation) =>
    await inTransaction(await link.connection(operation), clock, task, operation)
  return {
    ...createNodes(async (_, operation) => ({ connection: await link.connection(operation), transactionId: 0 })),
    write: async (values, operation) => {
      const pairs = toPairs(values)
      if (pairs.length === 0) return
      const connection = await link.connection(operation)
      // A single write is one without being told so.
      if (pairs.length === 1) return await writePairs({ connection, transactionId: 0 }, pairs, operation)
      await inTransaction(connection, clock, async tx => await tx.write(values, operation), operation)
    },
    transaction,
    watch: (path, operation) => createWatch(link, path, operation),
    close,
    [Symbol.asyncDispose]: close,
    link,
  }
}
