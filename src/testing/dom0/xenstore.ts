import { answer, failed, type Program } from './program.ts'
import type { Scheduler } from './scheduler.ts'

/** xenstored and its database. */
export interface XenstoreModel {
  readonly values: ReadonlyMap<string, string>
  isRunning: boolean
  /** Writes all, with their parents, and then tells who watches. */
  write(entries: Readonly<Record<string, string>>): void
  /** Removes a node with all below it. */
  remove(path: string): void
  /** Hears of every path that was written or removed. */
  watch(listener: (path: string) => void): void
}

export function createXenstoreModel(): XenstoreModel {
  const values = new Map([['/local/domain/0/name', 'Domain-0']])
  const listeners: ((path: string) => void)[] = []
  const tell = (path: string): void => {
    for (const listener of listeners) listener(path)
  }
  const makeParents = (path: string): void => {
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
      const parent = path.slice(0, at)
      if (!values.has(parent)) values.set(parent, '')
    }
  }
  return {
    values,
    isRunning: true,
    write: entries => {
      for (const [path, value] of Object.entries(entries)) {
        values.set(path, value)
        makeParents(path)
      }
      for (const path of Object.keys(entries)) tell(path)
    },
    remove: path => {
      for (const key of values.keys()) if (key === path || key.startsWith(`${path}/`)) values.delete(key)
      tell(path)
    },
    watch: listener => {
      listeners.push(listener)
    },
  }
}

const WORK_MS = 5

/** The `xenstore-*` commands of Xen 4.20. Relative paths begin at dom0's home. */
export function createXenstorePrograms(model: XenstoreModel, scheduler: Scheduler): Readonly<Record<string, Program>> {
  const { values } = model
  const full = (path: string): string => (path.startsWith('/') ? path : `/local/domain/0/${path}`)
  const below = (path: string): readonly string[] => [...values.keys()].filter(key => key.startsWith(`${path}/`))
  const exists = (path: string): boolean => values.has(path) || below(path).length > 0
  const program = (verb: string, act: (args: readonly string[]) => ReturnType<typeof answer>): Program => ({
    run: async args => {
      await scheduler.sleep(WORK_MS)
      if (!model.isRunning) return failed(1, `xenstore-${verb}: xs_open: No such file or directory\n`)
      return act(args.filter(word => word !== '--'))
    },
  })
  return {
    'xenstore-read': program('read', ([path = '']) => {
      const value = values.get(full(path))
      return value === undefined
        ? failed(1, `xenstore-read: couldn't read path ${path}\n`)
        : answer(`${escapeText(value)}\n`)
    }),
    'xenstore-list': program('list', ([path = '']) => {
      const place = full(path)
      if (!exists(place)) return failed(1, `xenstore-list: could not list path ${path}\n`)
      const names = new Set(below(place).map(key => key.slice(place.length + 1).split('/')[0] ?? ''))
      return answer([...names].map(name => `${name}\n`).join(''))
    }),
    'xenstore-write': program('write', args => {
      const entries: Record<string, string> = {}
      for (let n = 0; n < args.length; n += 2) entries[full(args[n] ?? '')] = unescapeText(args[n + 1] ?? '')
      model.write(entries)
      return answer('')
    }),
    'xenstore-rm': program('rm', ([path = '']) => {
      const place = full(path)
      const parent = place.slice(0, place.lastIndexOf('/'))
      if (!exists(place) && !exists(parent) && parent !== '')
        return failed(1, `xenstore-rm: could not remove path ${path}\n`)
      model.remove(place)
      return answer('')
    }),
    'xenstore-exists': program('exists', ([path = '']) => answer('', exists(full(path)) ? 0 : 1)),
  }
}

/** As the tools print a value: everything but printable ASCII in C's way. */
function escapeText(value: string): string {
  const names: Readonly<Record<string, string>> = { '\n': '\\n', '\t': '\\t', '\r': '\\r', '\\': '\\\\' }
  return value.replaceAll(/[\n\t\r\\]/g, char => names[char] ?? char)
}

function unescapeText(text: string): string {
  const names: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', '\\': '\\' }
  return text.replaceAll(/\\(.)/g, (word, letter: string) => names[letter] ?? word)
}
