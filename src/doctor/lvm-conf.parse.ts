/** What lvm.conf(5) says of the devices LVM looks at. What it does not say is missing. */
export interface LvmDevices {
  /** Patterns in order, such as `r|^/dev/mapper/3600|`. */
  readonly filter?: readonly string[]
  readonly globalFilter?: readonly string[]
  readonly useDevicesFile?: boolean
  readonly scanLvs?: boolean
}

// Texts (double quotes know \, single quotes nothing; one that is not closed ends with the file), comments, punctuation,
// words. Anything else is passed over.
const TOKEN = /"(?:\\[^]?|[^"\\])*"?|'[^']*'?|#.*|[{}[\]=]|[^\s{}[\]=#"',]+/g
const MARKS = '{}[]='

/**
 * Reads the few settings of the section `devices` that matter here, from any text; the form is lvm.conf(5),
 * "SYNTAX". Settings may also be named with their section: `devices/filter`.
 */
export function parseLvmDevices(conf: string): LvmDevices {
  const settings = readSettings(conf)
  const flag = (name: string): boolean | undefined => {
    const value = settings.get(`devices/${name}`)?.[0]
    return value === undefined ? undefined : value === '1'
  }
  const found = {
    filter: settings.get('devices/filter'),
    globalFilter: settings.get('devices/global_filter'),
    useDevicesFile: flag('use_devicesfile'),
    scanLvs: flag('scan_lvs'),
  }
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined))
}

/** Full names of settings no deeper than one section, and their values; the last one counts. */
function readSettings(conf: string): ReadonlyMap<string, readonly string[]> {
  const settings = new Map<string, readonly string[]>()
  const sections: string[] = []
  let word = ''
  let name: string | undefined // what a value is awaited for
  let list: string[] | undefined
  const set = (values: readonly string[]): void => {
    if (name !== undefined) settings.set(name, values)
    name = undefined
    list = undefined
  }
  for (const [token] of conf.matchAll(TOKEN)) {
    const isMark = MARKS.includes(token)
    if (token.startsWith('#')) continue
    if (list !== undefined) {
      if (token === ']') set(list)
      else if (!isMark) list.push(unquote(token))
    } else if (name !== undefined && !isMark) set([unquote(token)])
    else if (name !== undefined && token === '[') list = []
    else if (token === '=') name = sections.length > 1 ? '' : [...sections, word].join('/')
    else {
      name = undefined
      if (token === '{') sections.push(word)
      else if (token === '}') sections.pop()
      else word = token
    }
  }
  return settings
}

function unquote(token: string): string {
  if (token.startsWith("'")) return token.slice(1, token.length > 1 && token.endsWith("'") ? -1 : undefined)
  if (!token.startsWith('"')) return token
  return token.slice(1).replaceAll(/\\([^])|"$/g, '$1')
}
