import { hasCode, isLunError } from '../core/error.ts'
import type { OperationOptions } from '../core/options.ts'
import { wwid as checkWwid } from '../core/wwid.ts'
import { retry } from '../flow/retry.ts'
import type { Command } from '../host/command.ts'
import { run } from '../host/executor.ts'
import type { Host } from '../host/host.ts'
import { refused } from './answer.ts'
import * as commands from './commands.ts'
import type { MultipathConfig } from './config.parse.ts'
import { mapExists } from './kernel-map.ts'
import type { MultipathMap } from './maps.decode.ts'
import { deviceName, mapName } from './names.ts'
import type { KnownPath } from './paths.parse.ts'
import { parseWwids, WWIDS_FILE } from './wwids.parse.ts'

/**
 * multipathd of this host. It is never told to reconfigure: that would disturb every map.
 *
 * A call that multipathd leaves without an answer is repeated for up to 10 s; each one may be repeated safely.
 *
 * @throws {@link LunError} `INVALID_INPUT` before anything runs, `MULTIPATHD_NOT_RUNNING`, `MULTIPATHD_TIMEOUT`,
 * `MULTIPATHD_REFUSED` with multipathd's own words, `UNEXPECTED_OUTPUT`.
 */
export interface Multipath {
  /** Whether multipathd answers. False also when multipath-tools are not installed. */
  isRunning(options?: OperationOptions): Promise<boolean>
  /** Every map. */
  maps(options?: OperationOptions): Promise<readonly MultipathMap[]>
  /** The map of this name, alias or WWID. Its paths may still be those of an earlier LUN: compare their WWIDs. */
  map(name: string, options?: OperationOptions): Promise<MultipathMap | undefined>
  /** Every path multipathd knows, also those in no map. */
  paths(options?: OperationOptions): Promise<readonly KnownPath[]>
  /**
   * Makes multipathd look at `sdb` now, instead of when udev tells it. Refused with `fail` before udev has found the
   * WWID of the device, with `blacklisted` where the configuration leaves the device alone.
   */
  addPath(device: string, options?: OperationOptions): Promise<'added'>
  /** Makes multipathd forget `sdb`. `delayed`: it does so as soon as the map is through with udev. */
  delPath(device: string, options?: OperationOptions): Promise<'removed' | 'delayed' | 'absent'>
  /** Makes the map of a WWID whose paths are there, e.g. after it was flushed. It need not be usable at once. */
  addMap(wwid: string, options?: OperationOptions): Promise<'added'>
  /**
   * Removes a map; give its name, since a WWID does not do for a map with an alias. It comes back while multipathd
   * sees events of its paths. `MAP_BUSY` when it is open, or for a moment after it was closed while udev looks at it.
   * Without multipathd `multipath -f` does it.
   */
  flush(name: string, options?: OperationOptions): Promise<'flushed' | 'absent'>
  /** Takes over the new size of the paths. multipathd says `ok` even if nothing changed: compare sizes in sysfs. */
  resize(name: string, options?: OperationOptions): Promise<void>
  /** Fails I/O that waits for a path, and all to come. Data written by it is lost. */
  disableQueueing(name: string, options?: OperationOptions): Promise<void>
  /** Lets I/O wait again as configured. */
  restoreQueueing(name: string, options?: OperationOptions): Promise<void>
  /**
   * Puts the WWID of `sdb` into the wwids file, which lets `find_multipaths` make a map of it. Answers the WWID, also
   * when it was there already.
   */
  addWwid(device: string, options?: OperationOptions): Promise<string>
  /** Takes a WWID out of the wwids file. */
  removeWwid(wwid: string, options?: OperationOptions): Promise<'removed' | 'absent'>
  /** The WWIDs in the wwids file. */
  wwids(): Promise<readonly string[]>
  /** The configuration in force. */
  config(options?: OperationOptions): Promise<MultipathConfig>
  /** Whether multipathd still has udev events to handle. */
  isBusy(options?: OperationOptions): Promise<boolean>
}

type Ask = <T>(command: Command<T>, options?: OperationOptions) => Promise<T>

const PATIENCE = { isPassing: hasCode('MULTIPATHD_TIMEOUT'), withinMs: 10_000, firstPauseMs: 100 } as const

/**
 * Talks to multipathd through `host.executor`.
 *
 * @example
 * ```ts
 * import { createLocalHost, createMultipath } from 'xen-lun'
 *
 * const multipath = createMultipath(createLocalHost())
 * for (const map of await multipath.maps()) console.log(map.name, map.paths.map(path => path.checkerState))
 * ```
 */
export function createMultipath(host: Pick<Host, 'executor' | 'files' | 'clock'>): Multipath {
  const ask: Ask = async (command, options) =>
    await retry(host.clock, async () => await run(host.executor, command, options), { ...PATIENCE, ...options })
  return {
    isRunning: async options => await isRunning(ask, options),
    maps: async options => await ask(commands.showMaps(), options),
    map: async (name, options) => await findMap(ask, mapName(name), options),
    paths: async options => await ask(commands.showPaths(), options),
    addPath: async (device, options) => {
      await ask(commands.addPath(deviceName(device)), options)
      return 'added'
    },
    delPath: async (device, options) => await delPath(ask, deviceName(device), options),
    addMap: async (wwid, options) => {
      await ask(commands.addMap(checkWwid(wwid)), options)
      return 'added'
    },
    flush: async (name, options) => await flush(ask, host, mapName(name), options),
    resize: async (name, options) => await ask(commands.resizeMap(mapName(name)), options),
    disableQueueing: async (name, options) => await ask(commands.disableQueueing(mapName(name)), options),
    restoreQueueing: async (name, options) => await ask(commands.restoreQueueing(mapName(name)), options),
    addWwid: async (device, options) => await ask(commands.addWwid(deviceName(device)), options),
    removeWwid: async (wwid, options) => await ask(commands.removeWwid(checkWwid(wwid)), options),
    wwids: async () => parseWwids((await host.files.read(WWIDS_FILE)) ?? ''),
    config: async options => await ask(commands.showConfig(), options),
    isBusy: async options => (await ask(commands.showStatus(), options)).isBusy,
  }
}

async function isRunning(ask: Ask, options: OperationOptions | undefined): Promise<boolean> {
  try {
    await ask(commands.showDaemon(), options)
    return true
  } catch (error) {
    if (isLunError(error, 'MULTIPATHD_NOT_RUNNING') || isLunError(error, 'COMMAND_NOT_FOUND')) return false
    throw error
  }
}

async function findMap(
  ask: Ask,
  name: string,
  options: OperationOptions | undefined
): Promise<MultipathMap | undefined> {
  const map = await ask(commands.showMap(name), options)
  if (map !== 'unclear') return map
  return (await ask(commands.showMaps(), options)).find(each => each.name === name || each.wwid === name)
}

async function delPath(
  ask: Ask,
  device: string,
  options: OperationOptions | undefined
): Promise<'removed' | 'delayed' | 'absent'> {
  const command = commands.delPath(device)
  const outcome = await ask(command, options)
  if (outcome !== 'unclear') return outcome
  const paths = await ask(commands.showPaths(), options)
  if (paths.some(path => path.device === device)) throw refused(command, { word: 'fail' })
  return 'absent'
}

async function flush(
  ask: Ask,
  { files }: Pick<Host, 'files'>,
  name: string,
  options: OperationOptions | undefined
): Promise<'flushed' | 'absent'> {
  try {
    const outcome = await ask(commands.delMap(name), options)
    if (outcome !== 'unclear') return outcome
    if (await mapExists(files, name)) throw commands.mapBusy(name)
    return 'absent'
  } catch (error) {
    if (!isLunError(error, 'MULTIPATHD_NOT_RUNNING')) throw error
  }
  // `multipath -f` can exit 0 without effect, and 1 without a word: see what the kernel has afterwards.
  const outcome = await ask(commands.flushMap(name), options)
  if (await mapExists(files, name)) throw commands.mapBusy(name)
  return outcome === 'flushed' ? 'flushed' : 'absent'
}
