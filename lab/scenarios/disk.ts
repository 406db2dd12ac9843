import assert from 'node:assert/strict'
import { createXenstore } from 'xen-lun'
import type { San } from 'xen-lun/testing'
import { target } from '../../test/scenarios/lun.ts'
import type { World } from '../world/world.ts'

/** Where there are portals. */
interface Reachable {
  readonly san: Pick<San, 'portals'>
}

/** A LUN of the scenarios' target over all portals, as the block script and the command line take it. */
export function diskTarget({ san }: Reachable, lun: number): string {
  return `iqn=${target},${san.portals.map(portal => `portal=${portal}`).join(',')},lun=${lun}`
}

/** The same for the `disk` list of xl.cfg. */
export function disk(reachable: Reachable, vdev: string, lun: number): string {
  return `vdev=${vdev},access=rw,script=block-xen-lun,target=${diskTarget(reachable, lun)}`
}

/** The backend names the map of the LUN, and the map has both paths. */
export async function assertHandedOver(world: World, wwid: string): Promise<void> {
  const [map] = (await world.snapshot()).maps
  assert.equal(map?.uuid, `mpath-${wwid}`)
  assert.equal(map?.disks.length, 2)
  const xenstore = createXenstore(world.host)
  const backend = await backendOf(world)
  assert.equal(await xenstore.read(`${backend}/physical-device-path`), `/dev/mapper/${map?.name}`)
  assert.equal(await xenstore.read(`${backend}/hotplug-status`), 'connected')
  assert.match(await xenstore.read(`${backend}/physical-device`), /^[0-9a-f]+:[0-9a-f]+$/)
}

/** Of the first disk of guest g1. */
export async function backendOf({ guest }: World): Promise<string> {
  return `/local/domain/0/backend/vbd/${await guest.domid('g1')}/51712`
}
