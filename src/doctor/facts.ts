import type { Host } from '../host/host.ts'
import { createNodeDb, type NodeDb } from '../iscsi/node-db.ts'
import type { NodeRecords } from '../iscsi/node-db-read.ts'
import { createJournal, type Journal } from '../lun/journal/journal.ts'
import type { MultipathConfig } from '../multipath/config.parse.ts'
import type { MultipathMap } from '../multipath/maps.decode.ts'
import { createMultipath, type Multipath } from '../multipath/multipath.ts'
import type { Observation } from './finding.ts'

/** What the checks look at. What more than one of them needs is asked for once. */
export interface Facts {
  readonly host: Host
  readonly signal: AbortSignal
  readonly nodeDb: Pick<NodeDb, 'discoveryRecords'>
  readonly multipath: Pick<Multipath, 'isRunning'>
  readonly journal: Pick<Journal, 'unreadable' | 'targets' | 'tryTarget'>
  readonly records: () => Promise<NodeRecords>
  readonly config: () => Promise<MultipathConfig>
  readonly maps: () => Promise<readonly MultipathMap[]>
}

/** Looks and says what it saw; changes nothing. What it throws is told as `unknown`. */
export type Check = (facts: Facts) => Promise<readonly Observation[]>

export function gatherFacts(host: Host, signal: AbortSignal): Facts {
  const nodeDb = createNodeDb(host)
  const multipath = createMultipath(host)
  return {
    host,
    signal,
    nodeDb,
    multipath,
    journal: createJournal(host.files),
    records: once(async () => await nodeDb.records()),
    config: once(async () => await multipath.config({ signal })),
    maps: once(async () => await multipath.maps({ signal })),
  }
}

function once<T>(ask: () => Promise<T>): () => Promise<T> {
  let answer: Promise<T> | undefined
  return async () => await (answer ??= ask())
}
