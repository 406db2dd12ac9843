/**
 * For tests without hardware: a simulated dom0 with its SAN, and recordings of what the tools of a real host answer.
 *
 * @packageDocumentation
 */
export type { XenbusState } from '../core/xenbus-state.ts'
export { formatCassette, parseCassette, type Recording } from './cassette.ts'
export type {
  ClaimedDevice,
  DeviceUsers,
  KernelPartition,
  MountedDevice,
  MountOptions,
  OpenDevice,
  OpenDeviceOptions,
  StackedDevice,
  StackedDeviceSpec,
  SwapDevice,
} from './dom0/device-users.ts'
export {
  createSimulatedDom0,
  type SimulatedDaemon,
  type SimulatedDom0,
  type SimulatedFaults,
  type SimulationOptions,
} from './dom0/dom0.ts'
export type { LoginTiming } from './dom0/iscsid.ts'
export type { MultipathSettings } from './dom0/multipathd-output.ts'
export type { OtherSession, OtherSessionSpec, OtherTools, PlantedRecord } from './dom0/other-tools.ts'
export type { PartitionSpec } from './dom0/partitions.ts'
export type { PlantedFile } from './dom0/plant.ts'
export type { Credentials, InquiryBehaviour, TargetChap, TargetSpec, VolumeSpec } from './dom0/san.ts'
export type { PresentedVolume, San, SimulatedSan } from './dom0/san-control.ts'
export type { Policy, Turn } from './dom0/scheduler.ts'
export type { DiskState, HostState, MapState, SessionState, WatchedMap, WatchedPath } from './dom0/state.ts'
export type { SimulatedUser } from './dom0/users.ts'
export type { BackendSpec, DomainSpec, SimulatedXen, XenBackend } from './dom0/xen.ts'
export { createRecordingExecutor, type RecordingExecutor } from './recording.ts'
export { createReplayExecutor, type ReplayExecutor } from './replay.ts'
