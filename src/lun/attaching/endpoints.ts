import { LunError } from '../../core/error.ts'
import { formatPortal, type Portal, samePortal } from '../../core/portal.ts'
import { collectFailures } from '../../flow/collect.ts'
import { assertReadable } from '../../iscsi/discovery.ts'
import { DEFAULT_IFACE } from '../../iscsi/iface-name.ts'
import type { DiscoverRequest, TargetPortal } from '../../iscsi/iscsiadm.ts'
import type { FormerSettings } from '../../iscsi/node-db.ts'
import { type IscsiSession, isUsableSession, type UsableSession } from '../../iscsi/session.ts'
import type { Context } from '../context.ts'
import { jobsFor } from '../journal/jobs.ts'
import { withTarget } from '../locks.ts'
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
  operation: Operation,
  request: DiscoverRequest
): Promise<readonly TargetPortal[]> {
  const { iscsiadm, nodeDb, host } = context
  const { target, signal } = operation
  if (request.chap === undefined) return await iscsiadm.discover(request, { signal })
  return await withTarget(host, target, operation, async () => {
    const found = await nodeDb.discoveryRecords()
    assertReadable(found, request.portal)
    const known = found.records.find(record => samePortal(record.portal, request.portal))
    return known === undefined
      ? await discoverByNewRecord(context, operation, request)
      : await discoverByRecord(context, operation, request, known.path)
  })
}

async function discoverByNewRecord(
  context: Context,
  { target, signal }: Operation,
  request: DiscoverRequest
): Promise<readonly TargetPortal[]> {
  const { iscsiadm, nodeDb, journal } = context
  const discoveries = [formatPortal(request.portal)]
  const jobs = await jobsFor(context, 'discovery', discoveries, 0)
  await journal.noteTarget(target, { discoveries, jobs })
  const strike = async (): Promise<void> => {
    // One that could not be removed stays noted; one that comes later is somebody else's.
    const { records, broken } = await nodeDb.discoveryRecords()
    if (broken.length > 0 || records.some(record => samePortal(record.portal, request.portal))) return
    await journal.strikeTarget(target, { discoveries, jobs: Object.keys(jobs) })
  }
  try {
    return await iscsiadm.discover(request, { signal })
  } finally {
    await collectFailures([['forget the discovery', strike]])
  }
}

/** The record is somebody else's, and so is what it says of credentials. */
async function discoverByRecord(
  { iscsiadm, nodeDb, journal }: Context,
  { target, signal }: Operation,
  request: DiscoverRequest,
  path: string
): Promise<readonly TargetPortal[]> {
  const endpoint = `discovery ${formatPortal(request.portal)}`
  const onChange = async (former: FormerSettings): Promise<void> =>
    await journal.noteChange(target, { path, endpoint, former })
  const putBack = async (): Promise<void> => {
    // Also what one who was killed had changed.
    const noted = (await journal.target(target)).changes.find(change => change.path === path)
    if (noted === undefined) return
    await nodeDb.putBack(noted, noted.former)
    await journal.strikeTarget(target, { changes: [path] })
  }
  try {
    return await iscsiadm.discover(request, { signal, onChange })
  } finally {
    // What fails stays noted.
    await collectFailures([['put back the discovery record', putBack]])
  }
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
