import { listNames, writeAttribute } from './files.ts'
import { snapshot } from './state.ts'
import { until } from './until.ts'

const sessions = '/sys/class/iscsi_session'

/** I/O of sessions that are lost fails after so many seconds; without multipathd it is two minutes. */
export const failLostSessionsAfter = async (seconds: number): Promise<void> => {
  for (const session of listNames(sessions)) await writeAttribute(`${sessions}/${session}/recovery_tmo`, seconds)
}

/** Waits until the kernel has given up every disk. */
export const waitForDeadDisks = async (): Promise<void> => {
  const areDead = async (): Promise<boolean> => {
    const { disks } = await snapshot()
    return disks.length > 0 && disks.every(({ state }) => state === 'transport-offline')
  }
  await until('all disks to be given up', areDead, { timeoutMs: 90_000, everyMs: 300 })
}
