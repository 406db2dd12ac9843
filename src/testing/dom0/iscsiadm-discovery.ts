import { type IscsiadmParts, locked, type Mode, noDaemon } from './iscsiadm-parts.ts'
import { EXIT } from './iscsid.ts'
import { answer, failed } from './program.ts'
import { splitPortal } from './session.ts'

const ASK_MS = 40
/** A connection that is refused is tried six times, a second apart; one without an answer six times for 15 s. */
const REFUSED_MS = 6000
const SILENT_MS = 90_000

/** `-m discovery`: SendTargets. */
export function createDiscovery(parts: IscsiadmParts): Mode {
  const { array, iscsid, scheduler, records } = parts
  /** Questions on their way: two at one portal end each other. */
  const asking = new Map<string, { isCut: boolean }[]>()
  return async options => {
    const portal = options.get('-p') ?? ''
    if (!iscsid.isRunning()) {
      return noDaemon(
        'iscsiadm: Cannot perform discovery. Initiatorname required.\niscsiadm: Could not perform SendTargets discovery: could not connect to iscsid\n'
      )
    }
    const state = array.portals.includes(portal) ? array.portalState(portal) : 'cut'
    if (state !== 'up') {
      await scheduler.sleep(state === 'refused' ? REFUSED_MS : SILENT_MS)
      return noAnswer
    }
    const mine = { isCut: false }
    const all = [...(asking.get(portal) ?? []), mine]
    asking.set(portal, all)
    if (all.length > 1) for (const one of all) one.isCut = true
    await scheduler.sleep(ASK_MS)
    asking.set(
      portal,
      (asking.get(portal) ?? []).filter(one => one !== mine)
    )
    if (mine.isCut) return noAnswer
    const offers = [...array.targets.values()]
      .filter(target => target.isRunning && target.portals.includes(portal))
      .flatMap(target => target.portals.map(at => ({ iqn: target.iqn, at })))
    if (offers.length === 0) return failed(EXIT.noObjects, 'iscsiadm: No portals found\n')
    if (options.get('-o') !== 'nonpersistent') {
      records.createDiscovery(portal)
      const ifaces = options.values.get('-I') ?? ['default']
      for (const { iqn, at } of offers) for (const iface of ifaces) records.create(iqn, at, iface, 1, portal)
    }
    return answer(offers.map(({ iqn, at }) => `${at},1 ${iqn}\n`).join(''))
  }
}

const noAnswer = failed(
  EXIT.pduTimeout,
  'iscsiadm: connection login retries (reopen_max) 5 exceeded\niscsiadm: Could not perform SendTargets discovery: iSCSI PDU timed out\n'
)

/** `-m discoverydb`: the same, by a record. */
export function createDiscoveryDb(parts: IscsiadmParts): Mode {
  const ask = createDiscovery(parts)
  const { records } = parts
  return async (options, context) => {
    const portal = options.get('-p') ?? ''
    const operation = options.get('-o')
    if (options.has('--discover')) return await ask(options, context)
    return await locked(parts, context, () => {
      if (operation === 'new') {
        records.createDiscovery(portal)
        return answer(`New discovery record for [${splitPortal(portal).join(',')}] added.\n`)
      }
      return records.removeDiscovery(portal) ? answer('') : failed(EXIT.database, 'iscsiadm: No records found!\n')
    })
  }
}
