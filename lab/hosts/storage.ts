import { readBeat, verifyLog, waitForBeat } from '../world/beats.ts'
import { readText } from '../world/files.ts'
import { portals } from '../world/network.ts'
import { run } from '../world/run.ts'
import { addTarget, removeTarget, targetNames } from '../world/targets.ts'
import { addVolume, removeVolume, volumeNames } from '../world/volumes.ts'
import { createBeatWatch } from './beat-watch.ts'
import { cutHost, restoreHosts, setUpStorageNetwork } from './network.ts'

/** The initiators that have a session with the target, one entry per session. */
const initiators = (iqn: string): string[] =>
  readText(`/sys/kernel/config/target/iscsi/${iqn}/tpgt_1/dynamic_sessions`)
    .split(/[\n\0]/)
    .filter(name => name !== '')

const reset = async (): Promise<void> => {
  await restoreHosts()
  for (const iqn of targetNames()) await removeTarget(iqn)
  for (const name of volumeNames()) await removeVolume(name)
}

/** What the storage host's agent can do. */
export type StorageMethods = Awaited<ReturnType<typeof createStorageMethods>>

export const createStorageMethods = async () => {
  await setUpStorageNetwork()
  return {
    portals: () => portals,
    addVolume,
    addTarget,
    initiators,
    cutHost,
    restoreHosts,
    reset,
    readBeat,
    waitForBeat,
    verifyLog,
    ...createBeatWatch(),
    run,
    diagnose: () => run('dmesg', []),
  }
}
