import { chmod, copyFile } from 'node:fs/promises'
import { target } from '../../test/scenarios/lun.ts'
import type { World } from '../world/world.ts'

/** Puts the block script where xl looks for it. */
export async function installScript(): Promise<void> {
  await copyFile('/project/dist/block-xen-lun.cjs', '/etc/xen/scripts/block-xen-lun')
  await chmod('/etc/xen/scripts/block-xen-lun', 0o755)
}

/** A LUN of the scenarios' target over all portals, for the `disk` list of xl.cfg. */
export function disk({ san }: World, vdev: string, lun: number): string {
  const portals = san.portals.map(portal => `portal=${portal}`).join(',')
  return `vdev=${vdev},access=rw,script=block-xen-lun,target=iqn=${target},${portals},lun=${lun}`
}
