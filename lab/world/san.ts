import type { San } from 'xen-lun/testing'
import { cutPortal, portals, refusePortal, restoreAllPortals, restorePortal, setUpNetwork } from './network.ts'
import { addTarget, killTarget, mapLun, removeTarget, setChap, startTarget, targetNames, unmapLun } from './targets.ts'
import { addVolume, readVolume, removeVolume, resizeVolume, volumeNames, writeVolume } from './volumes.ts'

const reset = async (): Promise<void> => {
  await restoreAllPortals()
  for (const iqn of targetNames()) await removeTarget(iqn)
  for (const name of volumeNames()) await removeVolume(name)
}

/** The SAN of the lab: LIO behind two networks. */
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
