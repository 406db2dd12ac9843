import { LunError } from '../../core/error.ts'
import { type Portal, samePortal } from '../../core/portal.ts'
import { DEFAULT_IFACE } from '../../iscsi/iface-name.ts'
import type { DiscoverRequest, TargetPortal } from '../../iscsi/iscsiadm.ts'
import { type IscsiSession, isUsableSession, type UsableSession } from '../../iscsi/session.ts'
import type { Context } from '../context.ts'
import { notesOfDiscovery } from '../detaching/discoveries.ts'
import type { Operation } from '../operation.ts'
import { type AttachWish, type Endpoint, endpointKey } from '../request.ts'

/**
 * The endpoints a request means: portals given, discovered or recorded, each through each interface.
 *
 * @throws {@link LunError} `NO_PORTALS`
 */
export async function findEndpoints(
  context: Context,
  operation: Operation,
  wish: AttachWish
): Promise<readonly Endpoint[]> {
  const found = await sourceEndpoints(context, operation, wish)
  const distinct = [...new Map(found.map(endpoint => [endpointKey(endpoint), endpoint])).values()]
  if (distinct.length === 0) throw noPortals(wish)
  return distinct
}

async function sourceEndpoints(
  context: Context,
  operation: Operation,
  { source, target, ifaces, chap }: AttachWish
): Promise<readonly Endpoint[]> {
  const through = (portals: readonly Portal[]): readonly Endpoint[] =>
    portals.flatMap(portal => (ifaces ?? [DEFAULT_IFACE]).map(iface => ({ portal, iface })))
  switch (source.kind) {
    case 'given':
      return through(source.portals)
    case 'discovery': {
      const offers = await discover(context, operation, { portal: source.portal, chap })
      return through(offers.filter(offer => offer.target === target).map(offer => offer.portal))
    }
    case 'node-db': {
      const { records } = await context.nodeDb.recordsOf(target)
      return records
        .filter(record => ifaces === undefined || ifaces.includes(record.iface))
        .map(({ portal, iface }) => ({ portal, iface }))
    }
  }
}

// With credentials it takes a discovery record, which is to be found should this process die meanwhile.
async function discover(
  context: Context,
  { signal, emit }: Operation,
  request: DiscoverRequest
): Promise<readonly TargetPortal[]> {
  const onKept = (message: string): void => emit({ type: 'warning', message })
  const notes = notesOfDiscovery(context, request.portal, { signal }, onKept)
  return await context.iscsiadm.discover(request, { signal, notes })
}

function noPortals({ target, source }: AttachWish): LunError<'NO_PORTALS'> {
  const why = {
    given: 'no portal was given',
    discovery: 'the discovery portal does not offer this target',
    'node-db': 'the node database has no record of this target; give portals or a discovery portal',
  }[source.kind]
  return new LunError('NO_PORTALS', `${target}: ${why}`, { target })
}

/** All sessions of a target that belong to an endpoint. An array may redirect a login: the persistent portal counts. */
export function sessionsAt(sessions: readonly IscsiSession[], { portal, iface }: Endpoint): readonly IscsiSession[] {
  return sessions.filter(
    ({ iface: through, persistentPortal: to }) => through === iface && to !== undefined && samePortal(to, portal)
  )
}

/** The session of an endpoint that works. */
export function liveSession(sessions: readonly IscsiSession[], endpoint: Endpoint): UsableSession | undefined {
  return sessionsAt(sessions, endpoint).find(isUsableSession)
}
