import { createInquiry, type Inquiry } from '../../block/inquiry.ts'
import { findOpenDevices, type OpenDevices } from '../../block/open-devices.ts'
import { findStack, type Stack } from '../../block/volume.ts'
import { findXenBackends, type XenBackend } from '../../block/xen-backends.ts'
import { withDeadline } from '../../flow/deadline.ts'
import type { Host } from '../../host/host.ts'

// What is looked at of the whole host costs the same for one LUN as for all: whoever asks at the same time gets the same
// answer.

type LookHost = Pick<Host, 'files' | 'clock' | 'looks'>

/** Ends before the look of which it is a part, and says who owes an answer. */
const OPEN_MS = 4000

/** Which devices processes have open. */
export async function findOpen({ files, clock, looks }: LookHost, inquiry: Inquiry): Promise<OpenDevices> {
  if (looks === undefined) return await findOpenDevices(files, inquiry)
  let shared: Inquiry | undefined
  const limits = { timeoutMs: OPEN_MS, awaited: () => shared?.open().join(', ') ?? '' }
  const look = async (): Promise<OpenDevices> =>
    await withDeadline(clock, limits, async stop => {
      shared = createInquiry(stop)
      return await findOpenDevices(files, shared)
    })
  return await inquiry.ask('who has devices open', looks.share('open devices', look))
}

/** What xen-blkback serves to a domain. */
export interface Served {
  readonly backend: XenBackend
  readonly stack: Stack
}

/** Everything xen-blkback serves, from sysfs. */
export async function findServed({ files, looks }: Pick<Host, 'files' | 'looks'>): Promise<readonly Served[]> {
  const look = async (): Promise<readonly Served[]> => {
    const backends = await findXenBackends(files)
    return await Promise.all(backends.map(async backend => ({ backend, stack: await findStack(files, backend) })))
  }
  return looks === undefined ? await look() : await looks.share('xen backends', look)
}
