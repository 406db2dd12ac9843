import type { CommandResult } from '../../host/command.ts'
import type { Session } from './devices.ts'
import { createDiscovery, createDiscoveryDb } from './iscsiadm-discovery.ts'
import { createIface } from './iscsiadm-iface.ts'
import { type IscsiadmParts, locked, type Mode, NO_RECORDS, noDaemon } from './iscsiadm-parts.ts'
import { EXIT } from './iscsid.ts'
import { portalOf, type RecordFile } from './node-records.ts'
import { answer, failed, type Options, type Program, type ProgramContext, readOptions } from './program.ts'
import { NODE_DEFAULTS } from './record-defaults.ts'
import { splitPortal } from './session.ts'

const FLAGS = ['--login', '--logout', '--rescan', '-u', '--discover', '-W', '--no_wait']
const WORK_MS = 5
const ASK_MS = 40
const UNKNOWN_TPGT = -1

/** iscsiadm 2.1.11, as far as this library uses it. Words and codes are those recorded from the real one. */
export function createIscsiadmProgram(parts: IscsiadmParts): Program {
  const modes: Readonly<Record<string, (options: Options, context: ProgramContext) => Promise<CommandResult>>> = {
    discovery: createDiscovery(parts),
    discoverydb: createDiscoveryDb(parts),
    node: createNode(parts),
    session: createSession(parts),
    iface: createIface(parts),
  }
  return {
    run: async (args, context) => {
      await parts.scheduler.sleep(WORK_MS)
      if (args[0] === '--version') return answer('iscsiadm version 2.1.11\n')
      const options = readOptions(args, FLAGS)
      const mode = modes[options.get('-m') ?? '']
      return mode === undefined ? failed(7, 'iscsiadm: Invalid info type\n') : await mode(options, context)
    },
  }
}

function createNode(parts: IscsiadmParts): Mode {
  const { records } = parts
  return async (options, context) => {
    const portal = options.get('-p')?.replace(/,-?\d+$/, '')
    const chosen = (): readonly RecordFile[] =>
      records.nodes({ target: options.get('-T'), portal, iface: options.get('-I') })
    if (options.has('--login')) return await logIn(parts, chosen())
    if (options.has('--logout')) return await logOut(parts, sessionsOf(parts, options, portal))
    if (options.has('--rescan')) return await rescan(parts, sessionsOf(parts, options, portal))
    const operation = options.get('-o')
    if (operation === 'new') return await locked(parts, context, () => createRecord(parts, options, portal ?? ''))
    return await locked(parts, context, () => {
      const found = chosen()
      if (found.length === 0) return failed(EXIT.noObjects, NO_RECORDS)
      if (operation === 'update') return update(parts, found, options)
      if (operation === 'delete') return remove(parts, found)
      return answer(found.map(operation === 'show' ? showRecord : listRecord).join(''))
    })
  }
}

function createRecord({ records }: IscsiadmParts, options: Options, portal: string): CommandResult {
  const tpgt = Number(/,(-?\d+)$/.exec(options.get('-p') ?? '')?.[1] ?? UNKNOWN_TPGT)
  const iface = options.get('-I') ?? 'default'
  const target = options.get('-T') ?? ''
  records.create(target, portal, iface, tpgt)
  const at = splitPortal(portal).join(',')
  return answer(`New iSCSI node [tcp:[hw=,ip=,net_if=,iscsi_if=${iface}] ${at},${tpgt} ${target}] added\n`)
}

function update({ records }: IscsiadmParts, found: readonly RecordFile[], options: Options): CommandResult {
  const values = options.values.get('-v') ?? []
  const changes = new Map((options.values.get('-n') ?? []).map((name, n) => [name, values[n] ?? '']))
  for (const record of found) records.update(record, changes)
  return answer('')
}

function remove({ records, iscsid }: IscsiadmParts, found: readonly RecordFile[]): CommandResult {
  const used = found.filter(record => iscsid.sessionOf(record) !== undefined)
  for (const record of found) if (!used.includes(record)) records.remove(record)
  if (used.length === 0) return answer('')
  const lines = used.map(
    record =>
      `iscsiadm: This command will remove the record ${label(record)}, but a session is using it. Logout session then rerun command to remove record.\n`
  )
  return failed(
    EXIT.sessionExists,
    `${lines.join('')}iscsiadm: Could not execute operation on all records: session exists\n`
  )
}

function listRecord(record: RecordFile): string {
  const tpgt = Number(record.settings.get('node.tpgt'))
  return `${portalOf(record)},${tpgt >>> 0} ${record.settings.get('node.name') ?? ''}\n`
}

/** The name and the tpgt come first. */
const NAMES = 2

function showRecord({ settings }: RecordFile): string {
  const isSecret = (name: string): boolean => /\.password(?:_in)?$/.test(name)
  const all = new Map(
    [...settings].slice(0, NAMES).concat(NODE_DEFAULTS.map(([name]) => [name, settings.get(name) ?? '']))
  )
  const shown = (name: string, value: string): string =>
    value === '' ? '<empty>' : isSecret(name) ? '********' : value
  const lines = [...all].map(([name, value]) => `${name} = ${shown(name, value)}\n`)
  return `# BEGIN RECORD 2.1.11\n${lines.join('')}# END RECORD\n`
}

function label(record: RecordFile): string {
  const { settings } = record
  const at = splitPortal(portalOf(record)).join(',')
  return `[iface: ${settings.get('iface.iscsi_ifacename') ?? ''}, target: ${settings.get('node.name') ?? ''}, portal: ${at}]`
}

const WORDS: Readonly<Record<number, string>> = {
  [EXIT.transportTimeout]: 'connection timed out',
  [EXIT.fatalLogin]: 'encountered non-retryable iSCSI login failure',
  [EXIT.authFailed]: 'iSCSI login failed due to authorization failure',
}

async function logIn({ iscsid }: IscsiadmParts, records: readonly RecordFile[]): Promise<CommandResult> {
  if (records.length === 0) return failed(EXIT.noObjects, NO_RECORDS)
  if (!iscsid.isRunning()) return noDaemon('iscsiadm: Could not log into all portals\n')
  let exitCode: number = EXIT.success
  let stdout = ''
  let stderr = ''
  // In the order in which the real one was seen to go through them.
  await Promise.all(
    records.toReversed().map(async record => {
      const isThere = iscsid.sessionOf(record) !== undefined
      const code = isThere ? EXIT.sessionExists : await iscsid.login(record)
      if (code === EXIT.success) stdout += `Login to ${label(record)} successful.\n`
      else if (code === EXIT.sessionExists) {
        const iface = record.settings.get('iface.iscsi_ifacename') ?? ''
        stderr += `iscsiadm: ${iface}: 1 session requested, but 1 already present.\n`
      } else {
        stderr += `iscsiadm: Could not login to ${label(record)}.\niscsiadm: initiator reported error (${code} - ${WORDS[code] ?? 'unknown'})\n`
      }
      // A failure says more than a session that was there.
      if (code !== EXIT.success && (exitCode === EXIT.success || code !== EXIT.sessionExists)) exitCode = code
    })
  )
  if (exitCode !== EXIT.success) stderr += 'iscsiadm: Could not log into all portals\n'
  return { exitCode, stdout, stderr }
}

function sessionsOf({ kernel }: IscsiadmParts, options: Options, portal: string | undefined): readonly Session[] {
  const [target, iface] = [options.get('-T'), options.get('-I')]
  return [...kernel.sessions.values()].filter(
    session =>
      session.iqn === target &&
      (portal === undefined || session.portal === portal) &&
      (iface === undefined || session.iface === iface)
  )
}

async function logOut({ iscsid }: IscsiadmParts, sessions: readonly Session[]): Promise<CommandResult> {
  if (sessions.length === 0) return failed(EXIT.noObjects, 'iscsiadm: No matching sessions found\n')
  if (!iscsid.isRunning()) return noDaemon('')
  const codes = await Promise.all(sessions.map(async session => await iscsid.logout(session)))
  const labels = sessions.map(sessionLabel)
  const isDone = (_: unknown, n: number): boolean => codes[n] === EXIT.success
  const lines = [
    ...labels.map(text => `Logging out of session ${text}\n`),
    ...labels.filter(isDone).map(text => `Logout of ${text} successful.\n`),
  ]
  const left = labels.filter((_, n) => !isDone(_, n))
  if (left.length === 0) return answer(lines.join(''))
  const errors = left.map(
    text =>
      `iscsiadm: Could not logout of ${text}.\niscsiadm: initiator reported error (18 - could not communicate to iscsid)\n`
  )
  const stderr = `${errors.join('')}iscsiadm: Could not logout of all requested sessions\n`
  return answer(lines.join(''), EXIT.daemonLost, stderr)
}

async function rescan({ tree, scheduler }: IscsiadmParts, sessions: readonly Session[]): Promise<CommandResult> {
  if (sessions.length === 0) return failed(EXIT.noObjects, 'iscsiadm: No matching sessions found\n')
  for (const { host, devices } of sessions) {
    const scan = tree.find(`/sys/class/scsi_host/host${host}/scan`)
    if (scan?.kind === 'file') await scan.write('- - -')
    for (const { hctl } of devices.values()) {
      const attribute = tree.find(`/sys/class/scsi_device/${hctl}/device/rescan`)
      // What fails it says in its log, and goes on.
      if (attribute?.kind === 'file') await Promise.resolve(attribute.write('1')).catch(() => {})
    }
  }
  await scheduler.sleep(ASK_MS)
  return answer(sessions.map(session => `Rescanning session ${sessionLabel(session)}\n`).join(''))
}

function sessionLabel({ sid, iqn, portal }: Session): string {
  return `[sid: ${sid}, target: ${iqn}, portal: ${splitPortal(portal).join(',')}]`
}

function createSession(parts: IscsiadmParts): Mode {
  return async options => {
    const sid = options.get('-r')
    const session = parts.kernel.sessions.get(Number(sid))
    if (session === undefined) {
      const words = `iscsiadm: could not read session targetname: 5\niscsiadm: Could not get session info for sid ${sid ?? ''}\n`
      return failed(EXIT.sysfsLookup, words)
    }
    return options.has('-u') ? await logOut(parts, [session]) : await rescan(parts, [session])
  }
}
