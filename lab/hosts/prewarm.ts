import { target } from '../../test/scenarios/lun.ts'
import { diskTarget } from '../scenarios/disk.ts'
import type { Hosts, XenHost } from './hosts.ts'

const command = '/usr/local/sbin/xen-lun'
const owner = ['--owner', 'lab']

/** Attaches LUN 0 of the scenarios' target to a host ahead of a guest; returns what gives it back, should none come. */
export const prewarm = async ({ storage }: Hosts, { ask }: XenHost): Promise<() => Promise<void>> => {
  const lun = diskTarget({ san: { portals: await storage.ask.portals() } }, 0)
  await ask.run(command, ['prewarm', lun, ...owner, '--ttl', '900', '--timeout', '120'])
  return async () => {
    await ask.run(command, ['cooldown', lun, ...owner])
  }
}

/**
 * Attaches and detaches once on both hosts. The first time after a boot takes longest, since QEMU has translated none of it
 * yet: on a busy machine longer than xl waits for the block script.
 */
export const warmUp = async (hosts: Hosts): Promise<void> => {
  const { hosta, hostb, storage } = hosts
  await storage.ask.addVolume({ name: 'warm-up', sizeMiB: 8 })
  await storage.ask.addTarget({ iqn: target, luns: { 0: 'warm-up' } })
  const attached = [hosta, hostb].map(async host => {
    const cool = await prewarm(hosts, host)
    await cool()
    await host.ask.expectClean()
  })
  await Promise.all(attached)
  await storage.ask.reset()
}
