import { type Iqn, readIqn } from '../core/iqn.ts'
import { formatPortal, type Portal, samePortal } from '../core/portal.ts'
import { Secret } from '../core/secret.ts'
import type { Host } from '../host/host.ts'
import { readPortal, readTpgt } from './address.ts'
import { readEntryName } from './db-path.ts'
import { type NodeConfig, type RecordText, readNodeConfig, readRecordText, withoutSecrets } from './record.parse.ts'

/** A node record of the database. */
export interface NodeRecord extends NodeConfig {
  /** Its file. */
  readonly path: string
  readonly password?: Secret | undefined
  readonly mutualPassword?: Secret | undefined
}

/** Something in the database that is no record. */
export interface BrokenRecord {
  readonly path: string
  /** From 1. */
  readonly line: number
  /** Completes "PATH …". */
  readonly reason: string
}

/** Node records, and what could not be read. */
export interface NodeRecords {
  readonly records: readonly NodeRecord[]
  readonly broken: readonly BrokenRecord[]
}

/** A SendTargets discovery record. */
export interface DiscoveryRecord {
  readonly path: string
  readonly portal: Portal
  readonly authMethod?: string | undefined
  readonly username?: string | undefined
  readonly password?: Secret | undefined
  readonly mutualUsername?: string | undefined
  readonly mutualPassword?: Secret | undefined
  /** The node records that came from this portal. */
  readonly links: readonly RecordLink[]
  /** Everything the record holds, by open-iscsi's names, except secrets and empty values. */
  readonly settings: ReadonlyMap<string, string>
}

/** Says which node record discovery found. */
export interface RecordLink {
  readonly target: Iqn
  readonly portal: Portal
  readonly tpgt?: number | undefined
  readonly iface: string
}

/** Discovery records, and what could not be read. */
export interface DiscoveryRecords {
  readonly records: readonly DiscoveryRecord[]
  readonly broken: readonly BrokenRecord[]
}

type Found<T> = { readonly record: T } | { readonly broken: BrokenRecord } | undefined
type ReadHost = Pick<Host, 'files' | 'clock'>

const LOOKS = 3
const LOOK_AGAIN_MS = 20

/** All node records of one target folder. */
export async function readTargetFolder(host: ReadHost, folder: string): Promise<readonly Found<NodeRecord>[]> {
  const { files } = host
  if ((await files.stat(folder))?.kind === 'file') return [broken(folder, 'is a file in the place of a folder')]
  const entries = await files.list(folder)
  const found = await Promise.all(
    entries.map(async (name): Promise<readonly Found<NodeRecord>[]> => {
      const path = `${folder}/${name}`
      const portal = readEntryName(name)
      if (portal === undefined) return [broken(path, 'is not named ADDRESS,PORT or ADDRESS,PORT,TPGT')]
      if ((await files.stat(path))?.kind !== 'directory') return [await readNodeRecord(host, path, folder, portal)]
      const names = await files.list(path)
      return await Promise.all(names.map(async iface => await readNodeRecord(host, `${path}/${iface}`, folder, portal)))
    })
  )
  return found.flat()
}

async function readNodeRecord(
  host: ReadHost,
  path: string,
  folder: string,
  portal: Portal
): Promise<Found<NodeRecord>> {
  const text = await readSettled(host, path)
  if (text === undefined) return undefined
  if (text.flaw !== undefined) return { broken: { path, ...text.flaw } }
  const config = readNodeConfig(text.settings)
  if (typeof config === 'string') return broken(path, config)
  const owner = folder.slice(folder.lastIndexOf('/') + 1)
  if (config.target !== owner.toLowerCase() || !samePortal(config.portal, portal)) {
    return broken(path, `is about ${config.target} at ${formatPortal(config.portal)}`)
  }
  const password = secret(text.settings, 'node.session.auth.password')
  const mutualPassword = secret(text.settings, 'node.session.auth.password_in')
  return { record: { path, ...config, password, mutualPassword } }
}

/** The discovery record of one folder of `send_targets`, or of one file of the old layout. */
export async function readDiscovery(
  host: ReadHost,
  folder: string,
  name: string
): Promise<readonly Found<DiscoveryRecord>[]> {
  const entry = `${folder}/${name}`
  const portal = readEntryName(name)
  if (portal === undefined) return [broken(entry, 'is not named ADDRESS,PORT')]
  const isFolder = (await host.files.stat(entry))?.kind === 'directory'
  const path = isFolder ? `${entry}/st_config` : entry
  const text = await readSettled(host, path)
  if (text === undefined) return []
  if (text.flaw !== undefined) return [{ broken: { path, ...text.flaw } }]
  const names = (isFolder ? await host.files.list(entry) : []).filter(link => link !== 'st_config')
  const links = names.map(link => readLink(link) ?? broken(`${entry}/${link}`, 'is no link to a node record'))
  const { settings } = text
  const auth = 'discovery.sendtargets.auth'
  const record: DiscoveryRecord = {
    path,
    portal,
    authMethod: settings.get(`${auth}.authmethod`),
    username: settings.get(`${auth}.username`),
    password: secret(settings, `${auth}.password`),
    mutualUsername: settings.get(`${auth}.username_in`),
    mutualPassword: secret(settings, `${auth}.password_in`),
    links: links.flatMap(link => ('broken' in link ? [] : [link])),
    settings: withoutSecrets(settings),
  }
  return [{ record }, ...links.flatMap(link => ('broken' in link ? [link] : []))]
}

// TARGET,ADDRESS,PORT,TPGT,IFACE: open-iscsi usr/idbm.c, setup_disc_to_node_link()
function readLink(name: string): RecordLink | undefined {
  const [, owner = '', address = '', port = '', tag = '', iface = ''] =
    /^([^,]+),([^,]+),(\d{1,5}),(-?\d{1,10}),([^,]+)$/.exec(name) ?? []
  const target = readIqn(owner)
  const portal = readPortal(address, port)
  return target === undefined || portal === undefined ? undefined : { target, portal, tpgt: readTpgt(tag), iface }
}

// iscsiadm empties a record before it writes it anew, so one that looks damaged is looked at again.
async function readSettled({ files, clock }: ReadHost, path: string): Promise<RecordText | undefined> {
  for (let look = 1; ; look++) {
    const text = await files.read(path)
    if (text === undefined) return undefined
    const record = readRecordText(text)
    if (record.flaw === undefined || look === LOOKS) return record
    await clock.sleep(LOOK_AGAIN_MS)
  }
}

function secret(settings: ReadonlyMap<string, string>, name: string): Secret | undefined {
  const value = settings.get(name)
  return value === undefined ? undefined : new Secret(value)
}

function broken(path: string, reason: string): { readonly broken: BrokenRecord } {
  return { broken: { path, line: 1, reason } }
}

/** Sorts what was found into records and the rest. */
export function sortOut<T>(found: readonly Found<T>[]): {
  readonly records: readonly T[]
  readonly broken: readonly BrokenRecord[]
} {
  return {
    records: found.flatMap(one => (one !== undefined && 'record' in one ? [one.record] : [])),
    broken: found.flatMap(one => (one !== undefined && 'broken' in one ? [one.broken] : [])),
  }
}
