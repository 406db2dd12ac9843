/**
 * Attach and detach iSCSI LUNs, with device-mapper multipath, on Xen hosts.
 *
 * Start with {@link attachLun} and {@link detachLun}. The modules they are composed of are here too: {@link Iscsiadm},
 * {@link NodeDb}, {@link Multipath}, {@link Scsi}, {@link Xenstore}; each is made from a {@link Host}.
 *
 * @packageDocumentation
 */
export type { BlockDevice } from './block/block-device.ts'
export { createScsi, type Scsi, type ScsiIdentity, type ScsiTarget, type SessionTarget } from './block/scsi.ts'
export type { Brand } from './core/brand.ts'
export { type AnyLunError, type ErrorCode, isLunError, LunError } from './core/error.ts'
export type { CommandFailure, DeviceUser, ErrorDetails, FailedStep } from './core/error-details.ts'
export type { EventContext, LunEvent, Observer, Step } from './core/event.ts'
export { formatHctl, type Hctl, parseHctl } from './core/hctl.ts'
export { type Iqn, iqn } from './core/iqn.ts'
export type { OperationOptions } from './core/options.ts'
export type { PathOutcome } from './core/path-outcome.ts'
export { formatPortal, ISCSI_PORT, type Portal, portal, samePortal } from './core/portal.ts'
export { Secret } from './core/secret.ts'
export { vdevName, vdevNumber } from './core/vdev.ts'
export { type Wwid, wwid } from './core/wwid.ts'
export { type Diagnosis, type DoctorOptions, doctor } from './doctor/doctor.ts'
export type { CheckName, Finding, FindingLevel } from './doctor/finding.ts'
export type { ByteChannel, ChannelListener, XenstoreConnect, XenstoreConnectOptions } from './host/byte-channel.ts'
export type { Clock } from './host/clock.ts'
export type { Command, CommandResult } from './host/command.ts'
export { createExecaExecutor } from './host/execa.ts'
export { type Executor, run } from './host/executor.ts'
export type { FileStat, Files, OpenFile, ReadAtOptions } from './host/files.ts'
export { createFlock, type FlockDependencies } from './host/flock.ts'
export type { Host } from './host/host.ts'
export { createLocalHost } from './host/local.ts'
export type { LockOptions, Locks } from './host/locks.ts'
export { logged } from './host/logged.ts'
export type { Looks } from './host/looks.ts'
export { createMultipathdSocket, type MultipathdSocketOptions } from './host/multipathd-socket.ts'
export { createNodeClock } from './host/node-clock.ts'
export { createNodeFiles } from './host/node-files.ts'
export { createXenstoreConnection, type XenstoreConnectionOptions } from './host/xenstore-connection.ts'
export { type Chap, type ChapCredentials, type ChapScope, chapSettings } from './iscsi/chap.ts'
export { type IscsiExitName, iscsiExitName } from './iscsi/exit.ts'
export {
  createIscsiadm,
  type DiscoverOptions,
  type DiscoverRequest,
  type DiscoveryNotes,
  type Iface,
  type Iscsiadm,
  type LoginOptions,
  type NodeConfig,
  type RecordRequest,
  type RecordSelector,
  type TargetPortal,
} from './iscsi/iscsiadm.ts'
export type { LentCredentials } from './iscsi/lent-credentials.ts'
export {
  type BrokenRecord,
  createNodeDb,
  type DiscoveryRecord,
  type DiscoveryRecords,
  type NodeDb,
  type NodeDbOptions,
  type NodeRecord,
  type NodeRecords,
  type ReadOptions,
  type RecordLink,
  type RecordSettings,
} from './iscsi/node-db.ts'
export type { RemoveOptions } from './iscsi/node-db-remove.ts'
export type { FormerSettings, UpdateOptions } from './iscsi/node-db-write.ts'
export type { RecordNote } from './iscsi/own-record.ts'
export { type IscsiSession, isUsableSession, type SessionFilter, type UsableSession } from './iscsi/session.ts'
export type { RecordStamp, StandingRecord } from './iscsi/standing-record.ts'
export { attachLun } from './lun/attach.ts'
export type { Attachment } from './lun/attaching/attachment.ts'
export type { LunDeviceNode } from './lun/attaching/device.ts'
export type { AttachOptions } from './lun/attaching/establish.ts'
export type { HandedOver } from './lun/attaching/hand-over.ts'
export { completePaths } from './lun/complete-paths.ts'
export { type DetachOptions, detachLun } from './lun/detach.ts'
export type { Detachment } from './lun/detaching/detachment.ts'
export { listAttachments } from './lun/list.ts'
export type { ListedDomain, ListedGuest } from './lun/listing/guests.ts'
export type { ListedAttachment, ListedMap, ListedOwner, Listing, ListOptions } from './lun/listing/listing.ts'
export type { ListedPath, PathCount } from './lun/listing/paths.ts'
export type { LunOptions } from './lun/operation.ts'
export { type CooldownOptions, cooldown, type Prewarmed, type PrewarmOptions, prewarm } from './lun/prewarm.ts'
export {
  type ReconcileAction,
  type ReconcileNotice,
  type ReconcileOptions,
  type Reconciliation,
  reconcile,
} from './lun/reconcile.ts'
export { type ExpiredHolds, type ReleaseExpiredOptions, releaseExpired } from './lun/release-expired.ts'
export { releaseOwner } from './lun/release-owner.ts'
export type { AttachRequest, ChapRequest, LunAddress, PathPolicy } from './lun/request.ts'
export { type Resized, type ResizeOptions, resizeLun } from './lun/resize.ts'
export { type VerifiedLun, type VerifiedPath, type VerifyRequest, verifyLun } from './lun/verify.ts'
export type { Blacklist, ConfigSection, MultipathConfig } from './multipath/config.parse.ts'
export type { MultipathMap, MultipathPath } from './multipath/maps.decode.ts'
export { createMultipath, type Multipath } from './multipath/multipath.ts'
export type { CheckerState, PathState, RawPathState } from './multipath/path-state.ts'
export type { KnownPath } from './multipath/paths.parse.ts'
export type { DiskBackend } from './xenstore/disk-backend.ts'
export type { XenstoreAccess, XenstorePermissions } from './xenstore/permissions.ts'
export type {
  Xenstore,
  XenstoreEvent,
  XenstoreNodes,
  XenstoreTransaction,
  XenstoreValues,
} from './xenstore/types.ts'
export {
  type BackendOptions,
  type BackendRequest,
  type ConnectedBackend,
  waitForBackend,
} from './xenstore/wait-for-backend.ts'
export { createXenstore, type XenstoreHost, type XenstoreOptions } from './xenstore/xenstore.ts'
