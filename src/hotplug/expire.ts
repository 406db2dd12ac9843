import { waitForExpiry } from '../lun/wait-for-expiry.ts'
import type { Call } from './call.ts'

/** Releases what lingers when its time is over, so that no session is idle for longer. */
export async function expire({ host, signal, onEvent, log }: Call): Promise<void> {
  const { released, failed } = await waitForExpiry({ host, signal, onEvent })
  for (const { target, lun } of released) log(`released: LUN ${lun} of ${target}`)
  for (const { step, message } of failed) log(`${step}: ${message}`)
}
