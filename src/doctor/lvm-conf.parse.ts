/** What lvm.conf(5) says of the devices LVM looks at. What it does not say is missing. */
export interface LvmDevices {
  /** Patterns in order, such as `r|^/dev/mapper/3600|`. */
  readonly filter?: readonly string[]
  readonly globalFilter?: readonly string[]
  readonly useDevicesFile?: boolean
  readonly scanLvs?: boolean
}

// Texts (double quotes know \, single quotes nothing), comments, punctuation, words. Anything else is passed over.
const TOKEN = /"((?:\\.|[^"\\])*)"|'([^']*)'|#.*|([{}[\]=])|([^\s{}[\]=#"',]+)/g

interface Token {
  readonly kind: 'text' | 'mark' | 'word'
  readonly text: string
}

/**
 * Reads the few settings of the section `devices` that matter here, from any text; the form is lvm.conf(5),
 * "SYNTAX". Settings may also be named with their section: `devices/filter`.
 */
export function parseLvmDevices(conf: string): LvmDevices {
  const settings = readSettings(tokensOf(conf))
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

function tokensOf(conf: string): readonly Token[] {
  return [...conf.matchAll(TOKEN)].flatMap(([, double, single, mark, word]): readonly Token[] => {
    if (double !== undefined) return [{ kind: 'text', text: double.replaceAll(/\\(.)/g, '$1') }]
    if (single !== undefined) return [{ kind: 'text', text: single }]
    if (mark !== undefined) return [{ kind: 'mark', text: mark }]
    return word === undefined ? [] : [{ kind: 'word', text: word }]
  })
}

/** Full names of settings, and their values; the last one counts. */
function readSettings(tokens: readonly Token[]): ReadonlyMap<string, readonly string[]> {
  const settings = new Map<string, readonly string[]>()
  const sections: string[] = []
  for (let at = 0; at < tokens.length; at++) {
    const [token, next] = [tokens[at], tokens[at + 1]]
    if (isMark(token, '}')) sections.pop()
    else if (token?.kind === 'word' && isMark(next, '{')) {
      sections.push(token.text)
      at++
    } else if (token?.kind === 'word' && isMark(next, '=')) {
      const end = isMark(tokens[at + 2], '[') ? closing(tokens, at + 2) : at + 2
      const values = tokens.slice(at + 2, end + 1).filter(({ kind }) => kind !== 'mark')
      settings.set(
        [...sections, token.text].join('/'),
        values.map(({ text }) => text)
      )
      at = end
    }
  }
  return settings
}

function isMark(token: Token | undefined, text: string): boolean {
  return token?.kind === 'mark' && token.text === text
}

function closing(tokens: readonly Token[], from: number): number {
  const at = tokens.findIndex((token, n) => n > from && isMark(token, ']'))
  return at < 0 ? tokens.length : at
}
