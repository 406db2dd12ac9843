import type { Check } from './facts.ts'
import type { CheckName } from './finding.ts'
import { checkDatabaseLock, checkIscsid, checkOpenIscsi } from './iscsi.ts'
import { checkJournal } from './journal.ts'
import { checkLvmFilter, checkLvmScansLvs } from './lvm.ts'
import {
  checkFindMultipaths,
  checkFriendlyNames,
  checkMultipathConf,
  checkMultipathd,
  checkNoPathRetry,
} from './multipath.ts'
import { checkRecordsWhole, checkScan, checkStartup } from './records.ts'
import { checkIscsiService } from './service.ts'
import { checkReplacementTimeout } from './timeouts.ts'
import { checkBlkback, checkBlockSharing, checkDom0, checkHotplugTimeout, checkXapi, checkXenstored } from './xen.ts'

/** Every check, in the order in which its findings are told. */
export const CHECKS: Readonly<Record<CheckName, Check>> = {
  'open-iscsi': checkOpenIscsi,
  iscsid: checkIscsid,
  'database-lock': checkDatabaseLock,
  'record-broken': checkRecordsWhole,
  'record-startup': checkStartup,
  'record-scan': checkScan,
  journal: checkJournal,
  'iscsi-service': checkIscsiService,
  multipathd: checkMultipathd,
  'multipath-conf': checkMultipathConf,
  'find-multipaths': checkFindMultipaths,
  'user-friendly-names': checkFriendlyNames,
  'no-path-retry': checkNoPathRetry,
  'replacement-timeout': checkReplacementTimeout,
  'xen-dom0': checkDom0,
  'xen-blkback': checkBlkback,
  xenstored: checkXenstored,
  'hotplug-timeout': checkHotplugTimeout,
  'block-sharing': checkBlockSharing,
  xapi: checkXapi,
  'lvm-filter': checkLvmFilter,
  'lvm-scan-lvs': checkLvmScansLvs,
}
