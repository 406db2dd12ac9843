import { isLunError } from '../core/error.ts'
import type { OperationOptions } from '../core/options.ts'
import { unlessAborted } from '../flow/unless-aborted.ts'
import type { Clock } from '../host/clock.ts'
import type { Connection } from './connection.ts'
import { conflict, unavailable, xenstoreInvalid } from './errors.ts'
import { createNodes, type Place, toPairs, writePairs } from './nodes.ts'
import type { XenstorePath } from './path.ts'
import type { XenstoreTransaction } from './types.ts'
import { decodeStrings, encodeStrings, MESSAGE } from './wire.ts'

// Of several that meet, one is through each time: more than this many at once on one node are refused.
const MAX_ATTEMPTS = 30
const MAX_PAUSE_MS = 64
const MAX_ID = 0xffff_ffff

/** Runs `task` in one transaction after the other, until one is not disturbed. Each one is ended, whatever happens. */
export async function inTransaction<T>(
  connection: Connection,
  clock: Clock,
  task: (tx: XenstoreTransaction) => Promise<T>,
  { signal }: OperationOptions = {}
): Promise<T> {
  const release = connection.hold()
  try {
    for (let attempt = 1; ; attempt++) {
      const outcome = await attemptOnce(connection, task, signal)
      if ('result' in outcome) return outcome.result
      if (attempt === MAX_ATTEMPTS) throw conflict(outcome.path)
      if (attempt > 1) await clock.sleep(Math.min(MAX_PAUSE_MS, 2 ** (attempt - 2)), signal)
    }
  } finally {
    release()
  }
}

type Outcome<T> = { readonly result: T } | { readonly path: string }

async function attemptOnce<T>(
  connection: Connection,
  task: (tx: XenstoreTransaction) => Promise<T>,
  signal: AbortSignal | undefined
): Promise<Outcome<T>> {
  const transactionId = await start(connection, signal)
  const seen = { path: '/', isOver: false }
  const end = async (verdict: 'T' | 'F'): Promise<void> => {
    seen.isOver = true
    const payload = encodeStrings(verdict)
    await connection.ask({ type: MESSAGE.transactionEnd, path: seen.path, payload, transactionId })
  }
  try {
    // Whatever the task waits for, xenstored keeps a transaction no longer than its caller wants it.
    const result = await unlessAborted(task(createTransaction({ connection, transactionId }, seen)), signal)
    signal?.throwIfAborted()
    await end('T')
    return { result }
  } catch (error) {
    if (seen.isOver && isLunError(error, 'XENSTORE_CONFLICT')) return { path: seen.path }
    // What made it fail is what counts. With the connection the transaction is gone anyway.
    if (!seen.isOver) await end('F').catch(() => {})
    throw error
  }
}

async function start(connection: Connection, signal: AbortSignal | undefined): Promise<number> {
  // Without the signal: the number of one that has begun must be known, to end it.
  const request = { type: MESSAGE.transactionStart, path: '/', payload: encodeStrings('') }
  const [word = ''] = decodeStrings(await connection.ask(request))
  const transactionId = /^\d{1,10}$/.test(word) ? Number(word) : 0
  if (transactionId === 0 || transactionId > MAX_ID) throw unavailable(`garbled: transaction ${JSON.stringify(word)}`)
  if (signal?.aborted === true) {
    const payload = encodeStrings('F')
    await connection.ask({ type: MESSAGE.transactionEnd, path: '/', payload, transactionId }).catch(() => {})
    signal.throwIfAborted()
  }
  return transactionId
}

function createTransaction(place: Place, seen: { path: string; readonly isOver: boolean }): XenstoreTransaction {
  const locate = async (path: XenstorePath): Promise<Place> => {
    if (seen.isOver) throw xenstoreInvalid(path, 'is asked for in a transaction that has ended')
    seen.path = path
    return place
  }
  return {
    ...createNodes(locate),
    write: async (values, options) => {
      const pairs = toPairs(values)
      const [first] = pairs
      if (first === undefined) return
      await writePairs(await locate(first[0]), pairs, options)
    },
  }
}
