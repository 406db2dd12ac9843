import { LunError } from '../core/error.ts'

/** A section of multipath's configuration: `defaults`, `device`, … */
export interface ConfigSection {
  readonly name: string
  /** Every value of every key, in order; keys may repeat in blacklists. Quotes are gone. */
  readonly values: ReadonlyMap<string, readonly string[]>
  readonly sections: readonly ConfigSection[]
}

/** What is never multipathed, as extended regular expressions; `!` in front inverts one. */
export interface Blacklist {
  readonly devnode: readonly string[]
  readonly wwid: readonly string[]
  readonly protocol: readonly string[]
  readonly property: readonly string[]
  readonly devices: readonly { readonly vendor: string; readonly product: string }[]
}

/** multipathd's configuration, as far as an attach depends on it. */
export interface MultipathConfig {
  /**
   * When a new LUN gets a map: `strict` (multipath-tools' default) once its WWID is in the wwids file,
   * `on` from the second path or by the wwids file, `smart` like `on` with a wait, `greedy` and `off` always.
   */
  readonly findMultipaths: 'strict' | 'on' | 'smart' | 'greedy' | 'off' | 'unknown'
  /** Whether maps are called `mpatha` instead of by their WWID, unless an entry of `multipaths` says otherwise. */
  readonly hasFriendlyNames: boolean
  /** Checks to queue I/O for when no path is left; the built-in entry of a device may say otherwise. */
  readonly noPathRetry: number | 'queue' | 'fail' | undefined
  /**
   * Seconds multipathd lets I/O wait for a lost session, whatever its node record says; with `off` and 0 it leaves an
   * iSCSI session alone. The built-in entry of a device may say otherwise.
   */
  readonly fastIoFailS: number | 'off' | undefined
  readonly blacklist: Blacklist
  readonly blacklistExceptions: Blacklist
  /** Everything, for what is not above. */
  readonly sections: readonly ConfigSection[]
}

const FIND_MULTIPATHS = ['strict', 'on', 'smart', 'greedy', 'off'] as const

/** Reads `multipathd show config [local]`. @throws {@link LunError} `UNEXPECTED_OUTPUT` */
export function parseConfig(text: string): MultipathConfig {
  const sections = parseSections(text)
  const value = (section: string, key: string): string | undefined =>
    sections
      .filter(({ name }) => name === section)
      .map(({ values }) => values.get(key)?.at(-1))
      .findLast(found => found !== undefined)
  const findMultipaths = value('defaults', 'find_multipaths')
  return {
    findMultipaths: FIND_MULTIPATHS.find(word => word === findMultipaths) ?? 'unknown',
    hasFriendlyNames: isYes(value('overrides', 'user_friendly_names') ?? value('defaults', 'user_friendly_names')),
    noPathRetry: readRetry(value('overrides', 'no_path_retry') ?? value('defaults', 'no_path_retry')),
    fastIoFailS: readFastIoFail(
      iscsiOverride(sections, 'fast_io_fail_tmo') ??
        value('overrides', 'fast_io_fail_tmo') ??
        value('defaults', 'fast_io_fail_tmo')
    ),
    blacklist: readBlacklist(sections, 'blacklist'),
    blacklistExceptions: readBlacklist(sections, 'blacklist_exceptions'),
    sections,
  }
}

function isYes(value: string | undefined): boolean {
  return value === 'yes' || value === '1'
}

function readRetry(value: string | undefined): MultipathConfig['noPathRetry'] {
  if (value === 'queue' || value === 'fail') return value
  return value !== undefined && /^\d{1,9}$/.test(value) ? Number(value) : undefined
}

function readFastIoFail(value: string | undefined): MultipathConfig['fastIoFailS'] {
  if (value === 'off') return value
  return value !== undefined && /^\d{1,9}$/.test(value) ? Number(value) : undefined
}

/** multipath.conf(5), "protocol section": what is set for one kind of path wins over everything else. */
function iscsiOverride(sections: readonly ConfigSection[], key: string): string | undefined {
  return sections
    .filter(({ name }) => name === 'overrides')
    .flatMap(overrides => overrides.sections)
    .filter(({ name, values }) => name === 'protocol' && values.get('type')?.at(-1) === 'scsi:iscsi')
    .map(({ values }) => values.get(key)?.at(-1))
    .findLast(found => found !== undefined)
}

function readBlacklist(sections: readonly ConfigSection[], name: string): Blacklist {
  const lists = sections.filter(section => section.name === name)
  const all = (key: string): readonly string[] => lists.flatMap(({ values }) => values.get(key) ?? [])
  const devices = lists.flatMap(list => list.sections.filter(section => section.name === 'device'))
  return {
    devnode: all('devnode'),
    wwid: all('wwid'),
    protocol: all('protocol'),
    property: all('property'),
    devices: devices.map(({ values }) => ({
      vendor: values.get('vendor')?.at(-1) ?? '',
      product: values.get('product')?.at(-1) ?? '',
    })),
  }
}

interface OpenSection extends ConfigSection {
  readonly values: Map<string, string[]>
  readonly sections: OpenSection[]
}

const OPEN = /^([\w-]+)\s*\{$/
const ENTRY = /^([\w-]+)(?:\s+(.*))?$/s

function parseSections(text: string): readonly ConfigSection[] {
  const top = openSection('')
  const parents: OpenSection[] = []
  let current = top
  for (const [n, untrimmed] of text.split('\n').entries()) {
    const line = untrimmed.trim()
    const [, name] = OPEN.exec(line) ?? []
    const [, key, value = ''] = ENTRY.exec(line) ?? []
    if (line === '') continue
    if (name !== undefined) {
      const section = openSection(name)
      current.sections.push(section)
      parents.push(current)
      current = section
    } else if (line === '}') {
      current = parents.pop() ?? fail(n + 1, line, 'closes no section')
    } else if (key !== undefined && current !== top && isClosed(value)) {
      const values = current.values.get(key) ?? []
      current.values.set(key, values)
      values.push(unquote(value))
    } else fail(n + 1, line, 'is no configuration')
  }
  return current === top ? top.sections : fail(text.split('\n').length, current.name, 'is not closed')
}

function openSection(name: string): OpenSection {
  return { name, values: new Map(), sections: [] }
}

function isClosed(value: string): boolean {
  return !value.startsWith('"') || (value.length > 1 && value.endsWith('"'))
}

/** multipath-tools doubles a quote inside quotes: libmpathutil/strbuf.c, append_strbuf_quoted(). */
function unquote(value: string): string {
  const [, quoted] = /^"(.*)"$/s.exec(value) ?? []
  return quoted === undefined ? value : quoted.replaceAll('""', '"')
}

function fail(line: number, text: string, reason: string): never {
  const message = `multipathd show config: line ${line} ${reason}`
  throw new LunError('UNEXPECTED_OUTPUT', message, { tool: 'multipathd', line, text: text.slice(0, 200) })
}
