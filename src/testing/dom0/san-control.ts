import {
  type InquiryBehaviour,
  readVolume,
  type StorageArray,
  type TargetChap,
  type TargetSpec,
  type VolumeSpec,
  volumeOf,
  writeVolume,
} from './san.ts'

/** A volume of the array, and what it says it is. */
export interface PresentedVolume {
  readonly name: string
  readonly serial: string
  /** As multipath names it, from VPD page 0x83. */
  readonly wwid: string
}

/** The storage array: volumes, targets that present them, and the faults of both and of the network. */
export interface San {
  readonly portals: readonly [string, string, ...string[]]

  addVolume(spec: VolumeSpec): Promise<PresentedVolume>
  removeVolume(name: string): Promise<void>
  resizeVolume(name: string, sizeMiB: number): Promise<void>
  /** Reads behind iSCSI; sees every write that the initiator has been told is done. */
  readVolume(name: string, offset: number, length: number): Promise<Uint8Array>
  /** Writes behind iSCSI; caches of the initiator know nothing of it. */
  writeVolume(name: string, offset: number, data: Uint8Array): Promise<void>

  addTarget(spec: TargetSpec): Promise<void>
  removeTarget(iqn: string): Promise<void>
  mapLun(iqn: string, lun: number, volume: string): Promise<void>
  unmapLun(iqn: string, lun: number): Promise<void>
  /** Puts another volume behind a LUN; sessions stay. */
  remapLun(iqn: string, lun: number, volume: string): Promise<void>
  /** Sessions stay; the next login meets the new demands. */
  setChap(iqn: string, chap: TargetChap | undefined): Promise<void>

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

/** What only the simulated array can do. */
export interface SimulatedSan extends San {
  /** Makes inquiries by a write to a device's `rescan` slow, or fail; `{}` makes them what they were. */
  setInquiries(portal: string, behaviour: InquiryBehaviour): Promise<void>
  /** In standby a LUN has the size 0 to who asks, and no I/O succeeds. Afterwards it has its own once it is asked again. */
  setStandby(portal: string, isStandby: boolean): Promise<void>
}

const MIB = 1 << 20

/** The array's console. */
export function createSan(array: StorageArray): SimulatedSan {
  const { volumes, targets } = array
  const targetOf = (iqn: string) => {
    const target = targets.get(iqn)
    if (target === undefined) throw new Error(`there is no target ${iqn}`)
    return target
  }
  const run = (iqn: string, isRunning: boolean): void => {
    targetOf(iqn).isRunning = isRunning
    array.changed()
  }
  const removeTarget = (iqn: string): void => {
    run(iqn, false)
    targets.delete(iqn)
  }
  const mapLun = (iqn: string, lun: number, volume: string): void => {
    targetOf(iqn).luns.set(lun, volumeOf(volumes, volume))
  }
  return {
    portals: array.portals,
    addVolume: async spec => array.addVolume(spec),
    removeVolume: async name => {
      volumes.delete(name)
    },
    resizeVolume: async (name, sizeMiB) => {
      volumeOf(volumes, name).sizeBytes = sizeMiB * MIB
    },
    readVolume: async (name, offset, length) => readVolume(volumeOf(volumes, name), offset, length),
    writeVolume: async (name, offset, data) => writeVolume(volumeOf(volumes, name), offset, data),
    addTarget: async spec => array.addTarget(spec),
    removeTarget: async iqn => removeTarget(iqn),
    mapLun: async (iqn, lun, volume) => mapLun(iqn, lun, volume),
    unmapLun: async (iqn, lun) => {
      targetOf(iqn).luns.delete(lun)
    },
    remapLun: async (iqn, lun, volume) => mapLun(iqn, lun, volume),
    setChap: async (iqn, chap) => {
      targetOf(iqn).chap = chap
    },
    cutPortal: async portal => array.setPortalState(portal, 'cut'),
    refusePortal: async portal => array.setPortalState(portal, 'refused'),
    restorePortal: async portal => array.setPortalState(portal, 'up'),
    killTarget: async iqn => run(iqn, false),
    startTarget: async iqn => run(iqn, true),
    setInquiries: async (portal, behaviour) => array.setInquiryBehaviour(portal, behaviour),
    setStandby: async (portal, isStandby) => array.setStandby(portal, isStandby),
    reset: async () => {
      for (const portal of array.portals) {
        array.setPortalState(portal, 'up')
        array.setInquiryBehaviour(portal, {})
        array.setStandby(portal, false)
      }
      for (const iqn of targets.keys()) removeTarget(iqn)
      volumes.clear()
    },
  }
}
