import type { SimulatedDom0 } from 'xen-lun/testing'

/** Something that happens to a host, its SAN or its daemons meanwhile. */
export type Act = (dom0: SimulatedDom0) => Promise<void>

/** What random schedules choose from. LUN 0 of `target` becomes another volume, `v1`, or goes. */
export function actsOn(target: string): Readonly<Record<string, Act>> {
  return {
    'cut portal 1': async ({ san }) => await san.cutPortal(san.portals[0]),
    'cut portal 2': async ({ san }) => await san.cutPortal(san.portals[1]),
    'refuse portal 1': async ({ san }) => await san.refusePortal(san.portals[0]),
    'refuse portal 2': async ({ san }) => await san.refusePortal(san.portals[1]),
    'restore portal 1': async ({ san }) => await san.restorePortal(san.portals[0]),
    'restore portal 2': async ({ san }) => await san.restorePortal(san.portals[1]),
    'stop multipathd': async ({ daemons }) => await daemons.multipathd.stop(),
    'start multipathd': async ({ daemons }) => await daemons.multipathd.start(),
    'stop iscsid': async ({ daemons }) => await daemons.iscsid.stop(),
    'start iscsid': async ({ daemons }) => await daemons.iscsid.start(),
    'kill the target': async ({ san }) => await san.killTarget(target),
    'start the target': async ({ san }) => await san.startTarget(target),
    'map another volume': async ({ san }) => await san.remapLun(target, 0, 'v1'),
    'unmap the LUN': async ({ san }) => await san.unmapLun(target, 0),
  }
}
