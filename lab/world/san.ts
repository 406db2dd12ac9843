import { cutPortal, portals, refusePortal, restoreAllPortals, restorePortal, setUpNetwork } from './network.ts'
import type { Chap, TargetSpec } from './targets.ts'
import { addTarget, killTarget, mapLun, removeTarget, setChap, startTarget, targetNames, unmapLun } from './targets.ts'
import type { Volume, VolumeSpec } from './volumes.ts'
import { addVolume, readVolume, removeVolume, resizeVolume, volumeNames, writeVolume } from './volumes.ts'

/** The storage array: volumes, targets that present them, and the faults of both and of the network. */
export interface San {
  readonly portals: readonly [string, string]

  addVolume(spec: VolumeSpec): Promise<Volume>
  removeVolume(name: string): Promise<void>
  resizeVolume(name: string, sizeMiB: number): Promise<void>
  /** Reads behind iSCSI; sees every write that the initiator has been told is done. */
  readVolume(name: string, offset: number, length: number): Promise<Buffer>
  /** Writes behind iSCSI; caches of the initiator know nothing of it. */
  writeVolume(name: string, offset: number, data: Uint8Array): Promise<void>

  addTarget(spec: TargetSpec): Promise<void>
  removeTarget(iqn: string): Promise<void>
  mapLun(iqn: string, lun: number, volume: string): Promise<void>
  unmapLun(iqn: string, lun: number): Promise<void>
  /** Puts another volume behind a LUN; sessions stay. */
  remapLun(iqn: string, lun: number, volume: string): Promise<void>
  /** Sessions stay; the next login meets the new demands. */
  setChap(iqn: string, chap: Chap | undefined): Promise<void>

  /** Black hole: packets vanish, those of established sessions too. */
  cutPortal(portal: string): Promise<void>
  /** New connections are reset, established ones too. */
  refusePortal(portal: string): Promise<void>
  restorePortal(portal: string): Promise<void>
  /** Drops the target's sessions and refuses logins to it until it is started again. */
  killTarget(iqn: string): Promise<void>
  startTarget(iqn: string): Promise<void>

  /** Removes all targets and volumes, restores all portals. */
  reset(): Promise<void>
}

const reset = async (): Promise<void> => {
  await restoreAllPortals()
  for (const iqn of targetNames()) await removeTarget(iqn)
  for (const name of volumeNames()) await removeVolume(name)
}

export const createSan = async (): Promise<San> => {
  await setUpNetwork()
  return {
    portals,
    addVolume,
    removeVolume,
    resizeVolume,
    readVolume,
    writeVolume,
    addTarget,
    removeTarget,
    mapLun,
    unmapLun,
    remapLun: async (iqn, lun, volume) => {
      await unmapLun(iqn, lun)
      await mapLun(iqn, lun, volume)
    },
    setChap,
    cutPortal,
    refusePortal,
    restorePortal,
    killTarget,
    startTarget,
    reset,
  }
}
