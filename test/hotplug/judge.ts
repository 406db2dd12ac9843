import type { SimulatedDom0 } from 'xen-lun/testing'
import { type DiskWorld, keysOf, leftovers, type Run, run } from './disk.ts'

/** What a run broke of its contract; nothing, if all is well. */
export type Complaints = readonly string[]

/** What `add` promises, whatever happened to it. `wwids` are volumes it may have given to blkback. */
export async function judgeAdd(dom0: SimulatedDom0, run: Run, wwids: readonly string[]): Promise<Complaints> {
  const keys = await keysOf(dom0)
  return run.exitCode === 0 ? await judgeConnected(dom0, keys, wwids) : judgeFailed(keys, run)
}

async function judgeConnected(
  dom0: SimulatedDom0,
  keys: Readonly<Record<string, string>>,
  wwids: readonly string[]
): Promise<Complaints> {
  const path = keys['physical-device-path'] ?? ''
  const stat = await dom0.host.files.stat(path)
  const number = stat === undefined ? '' : `${stat.device.major.toString(16)}:${stat.device.minor.toString(16)}`
  const { maps, disks } = dom0.state()
  const map = maps.find(({ name }) => `/dev/mapper/${name}` === path)
  const disk = disks.find(({ name }) => `/dev/${name}` === path)
  return [
    ...(stat?.kind === 'block' ? [] : [`exit 0, and ${JSON.stringify(path)} is no block device`]),
    ...(keys['physical-device'] === number ? [] : [`exit 0, and physical-device is ${keys['physical-device']}`]),
    ...(wwids.includes(map?.uuid.replace('mpath-', '') ?? disk?.wwid ?? '')
      ? []
      : ['exit 0, and it is not the volume']),
    ...(keys['hotplug-status'] === 'connected' ? [] : [`exit 0, and hotplug-status is ${keys['hotplug-status']}`]),
    ...(keys['hotplug-error'] === undefined ? [] : ['exit 0, and there is a hotplug-error']),
  ]
}

/** One line for the toolstack, or where xenstored did not take it, one for the standard error. */
function judgeFailed(keys: Readonly<Record<string, string>>, { complaints }: Run): Complaints {
  const { 'hotplug-error': line = complaints[0], 'hotplug-status': status } = keys
  const isTold = complaints.length === 0 ? /^(?:error|busy)$/.test(status ?? '') : complaints.length === 1
  return [
    ...(isTold ? [] : [`exit 1, hotplug-status is ${status}, and the standard error has ${complaints.length} lines`]),
    ...(/^[\x20-\x7e]{1,280}$/.test(line ?? '') ? [] : [`exit 1, and the line is ${JSON.stringify(line)}`]),
    ...((keys['hotplug-error'] ?? '').length <= 256 ? [] : ['hotplug-error is too long']),
  ]
}

const SETTLE_MS = 120_000

/** Removes the disk as the toolstack does, in a process of its own, and looks what is left. */
export async function judgeRemoval({ dom0, backend }: DiskWorld): Promise<Complaints> {
  backend.disconnect()
  await dom0.host.files.remove('/etc/xen-lun.json')
  const { exitCode, log } = await run(dom0, 'remove', { host: dom0.startUser().host })
  // What was begun in open-iscsi before may still come to its end.
  await dom0.host.clock.sleep(SETTLE_MS)
  const left = leftovers(dom0)
  return [
    ...(exitCode === 0 ? [] : [`remove: ${log.at(-1)}`]),
    ...(left.length === 0 ? [] : [`left over: ${left.join('; ')}`]),
  ]
}

/** Whether the run came to its end before `budgetMs`, all it had. */
export function judgeTime({ tookMs, exitCode }: Run, budgetMs: number): Complaints {
  return tookMs <= budgetMs ? [] : [`exit ${exitCode} after ${Math.round(tookMs)} of ${budgetMs} ms`]
}
