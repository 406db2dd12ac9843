/** What xenstored keeps of one path. It is replaced, never changed: another object means that somebody changed it. */
export interface StoredNode {
  readonly value: Uint8Array
  readonly children: readonly string[]
  /** `n0`, `r1`: the first names the owner. */
  readonly permissions: readonly string[]
  readonly generation: number
}

export type StoredNodes = ReadonlyMap<string, StoredNode>

/** The name of an error, as xenstored sends it. */
export class Refusal extends Error {
  readonly errno: string

  constructor(errno: string) {
    super(errno)
    this.errno = errno
  }
}

/** Something that watches may want to hear. Who watches a parent hears of an exact one nothing. */
export interface StoredChange {
  readonly path: string
  readonly isExact: boolean
}

/** Hears what is done with the nodes. */
export interface NodesListener {
  onUse(path: string): void
  onChange(change: StoredChange): void
}

/** The requests of one domain, on the nodes everybody has or on those of a transaction. All throw a {@link Refusal}. */
export interface NodesView {
  read(path: string): Uint8Array
  write(path: string, value: Uint8Array): void
  mkdir(path: string): void
  remove(path: string): void
  list(path: string): StoredNode
  permissions(path: string): readonly string[]
  setPermissions(path: string, words: readonly string[]): void
}

const EMPTY = new Uint8Array(0)
let lastGeneration = 0

/** A node of its own generation. */
export function createNode(parts: Partial<Omit<StoredNode, 'generation'>> = {}): StoredNode {
  return { value: EMPTY, children: [], permissions: ['n0'], ...parts, generation: ++lastGeneration }
}

/** As Xen 4.20 does it, tools/xenstored/core.c. Paths are absolute. */
export function createNodesView(nodes: Map<string, StoredNode>, domid: number, listener: NodesListener): NodesView {
  const look = (path: string): StoredNode | undefined => {
    listener.onUse(path)
    return nodes.get(path)
  }
  /** A missing node is as forbidden as the nearest one above it. */
  const check = (path: string, wanted: string): StoredNode | undefined => {
    const node = look(path)
    let above = path
    while (!nodes.has(above)) above = parentOf(above)
    if (!may(nodes.get(above)?.permissions ?? [], domid).includes(wanted)) throw new Refusal('EACCES')
    return node
  }
  const need = (path: string, wanted: string): StoredNode => {
    const node = check(path, wanted)
    if (node === undefined) throw new Refusal('ENOENT')
    return node
  }
  const put = (path: string, parts: Partial<StoredNode>): void =>
    void nodes.set(path, createNode({ ...nodes.get(path), ...parts }))
  const create = (path: string): void => {
    const above = parentOf(path)
    if (look(above) === undefined) create(above)
    const parent = nodes.get(above) ?? createNode()
    put(above, { children: [...parent.children, nameOf(path)] })
    const [first = 'n0', ...rest] = parent.permissions
    put(path, { permissions: [domid === 0 ? first : `${first[0]}${domid}`, ...rest] })
  }
  const change = (path: string, isExact = false): void => listener.onChange({ path, isExact })
  return {
    read: path => need(path, 'r').value,
    list: path => need(path, 'r'),
    permissions: path => need(path, 'r').permissions,
    write: (path, value) => {
      if (check(path, 'w') === undefined) create(path)
      put(path, { value })
      change(path)
    },
    mkdir: path => {
      if (check(path, 'w') !== undefined) return
      create(path)
      change(path)
    },
    remove: path => {
      const node = check(path, 'w')
      if (node === undefined && look(parentOf(path)) === undefined) throw new Refusal('ENOENT')
      if (node === undefined) return
      if (path === '/') throw new Refusal('EINVAL')
      const above = parentOf(path)
      put(above, { children: (look(above)?.children ?? []).filter(name => name !== nameOf(path)) })
      const gone = [...below(nodes, path)]
      for (const each of gone) look(each)
      for (const each of gone) nodes.delete(each)
      for (const each of gone) change(each, each !== path)
    },
    setPermissions: (path, words) => {
      const [owner] = need(path, 'w').permissions
      if (!words.every(word => /^[nrwb]\d+$/.test(word)) || words.length === 0) throw new Refusal('EINVAL')
      if (domid !== 0 && (domidOf(owner) !== domid || domidOf(words[0]) !== domid)) throw new Refusal('EACCES')
      put(path, { permissions: words })
      change(path)
    },
  }
}

/** Children before their parents. */
function* below(nodes: StoredNodes, path: string): Generator<string> {
  for (const name of nodes.get(path)?.children ?? []) yield* below(nodes, path === '/' ? `/${name}` : `${path}/${name}`)
  yield path
}

const domidOf = (word = 'n0'): number => Number(word.slice(1))

/** Some of `rw`. */
function may([owner = 'n0', ...others]: readonly string[], domid: number): string {
  if (domid === 0 || domidOf(owner) === domid) return 'rw'
  const letter = (others.find(word => domidOf(word) === domid) ?? owner)[0] ?? 'n'
  return { r: 'r', w: 'w', b: 'rw' }[letter] ?? ''
}

export function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '/'
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
