import { detachLun, type ExpiredHolds, type Prewarmed, type PrewarmOptions, prewarm, releaseExpired } from 'xen-lun'
import type { SimulatedDom0 } from 'xen-lun/testing'
import { target } from './guests.ts'

export const PORTALS = ['10.0.1.1:3260', '10.0.2.1:3260']
export const TTL_MS = 60_000
const LOGIN = /^iscsiadm .*--login/

type With = Pick<SimulatedDom0, 'host'>

/** Keeps LUN 0 ready for a minute, unless told otherwise. */
export async function warm(
  { host }: With,
  owner = 'p',
  options: Partial<PrewarmOptions> = {},
  request: Partial<Parameters<typeof prewarm>[0]> = {}
): Promise<Prewarmed> {
  return await prewarm({ target, portals: PORTALS, ...request }, { host, owner, ttlMs: TTL_MS, ...options })
}

/** A detach of LUN 0 that lets it linger for a minute. */
export async function detachLingering({ host }: With, owner?: string): Promise<readonly unknown[]> {
  const { outcome, owners } = await detachLun({ target }, { host, owner, lingerMs: TTL_MS })
  return [outcome, ...owners]
}

/** Who was released, and when the next one is. */
export async function release({ host }: With): Promise<Pick<ExpiredHolds, 'nextInMs'> & { readonly gone: unknown }> {
  const { released, failed, nextInMs } = await releaseExpired({ host })
  if (failed.length > 0) throw new Error(failed.map(({ message }) => message).join('; '))
  return { gone: released.map(({ owner, why }) => `${owner}: ${why}`), nextInMs }
}

/** How often the host was told to log in. */
export function loginsOf({ started }: SimulatedDom0): number {
  return started.filter(line => LOGIN.test(line)).length
}
