import { releaseExpired } from '../lun/release-expired.ts'
import type { Call } from './call.ts'

/** Releases what lingers when its time is over, so that no session is idle for longer. */
export async function expire({ host, signal, onEvent, log }: Call): Promise<void> {
  for (;;) {
    const { released, failed, nextInMs } = await releaseExpired({ host, signal, onEvent })
    for (const { target, lun } of released) log(`released: LUN ${lun} of ${target}`)
    for (const { step, message } of failed) log(`${step}: ${message}`)
    if (nextInMs === undefined) return
    await host.clock.sleep(nextInMs, signal)
  }
}
