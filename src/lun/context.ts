import { createScsi, type Scsi } from '../block/scsi.ts'
import type { Host } from '../host/host.ts'
import { createIscsiadm, type Iscsiadm } from '../iscsi/iscsiadm.ts'
import { createNodeDb, type NodeDb } from '../iscsi/node-db.ts'
import { createMultipath, type Multipath } from '../multipath/multipath.ts'
import type { Xenstore } from '../xenstore/types.ts'
import { createXenstore } from '../xenstore/xenstore.ts'
import { createJournal, type Journal } from './journal/journal.ts'

/** The modules an operation is composed of, all on one host. */
export interface Context {
  readonly host: Host
  readonly iscsiadm: Iscsiadm
  readonly nodeDb: NodeDb
  readonly multipath: Multipath
  readonly scsi: Scsi
  readonly xenstore: Xenstore
  readonly journal: Journal
}

export function createContext(host: Host): Context {
  return {
    host,
    iscsiadm: createIscsiadm(host),
    nodeDb: createNodeDb(host),
    multipath: createMultipath(host),
    scsi: createScsi(host),
    xenstore: createXenstore(host),
    journal: createJournal(host.files, host.looks),
  }
}
