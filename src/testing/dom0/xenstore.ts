import {
  createNode,
  createNodesView,
  type NodesView,
  Refusal,
  type StoredChange,
  type StoredNode,
} from './xenstore-nodes.ts'

/** xenstored's database, whoever asks and in whatever way. */
export interface XenstoreModel {
  /** Values as text. */
  readonly values: Pick<ReadonlyMap<string, string>, 'get' | 'has' | 'keys'>
  /** What a domain does outside of transactions. */
  view(domid: number): NodesView
  /** Changes that others see all at once or, where they met others', not at all. */
  begin(domid: number): XenstoreTransactionModel
  /** Writes all, with their parents, and then tells who watches. */
  write(entries: Readonly<Record<string, string>>): void
  /** Removes a node with all below it. */
  remove(path: string): void
  /** Tells who watches `@introduceDomain` or `@releaseDomain`. */
  announce(event: '@introduceDomain' | '@releaseDomain'): void
  /** Hears of every change, until the returned function is called. */
  onChange(listener: (change: StoredChange) => void): () => void
}

export interface XenstoreTransactionModel {
  readonly view: NodesView
  /** Throws a {@link Refusal}: EAGAIN. */
  commit(): void
}

export function createXenstoreModel(): XenstoreModel {
  const nodes = new Map<string, StoredNode>([['/', createNode()]])
  const listeners = new Set<(change: StoredChange) => void>()
  const tell = (change: StoredChange): void => {
    for (const listener of listeners) listener(change)
  }
  const view = (domid: number): NodesView => createNodesView(nodes, domid, { onUse: () => {}, onChange: tell })
  const begin = (domid: number): XenstoreTransactionModel => {
    const base = new Map(nodes)
    const own = new Map(nodes)
    const used = new Set<string>()
    const changes: StoredChange[] = []
    return {
      view: createNodesView(own, domid, {
        onUse: path => used.add(path),
        onChange: change => changes.push(change),
      }),
      commit: () => {
        for (const path of used) if (nodes.get(path) !== base.get(path)) throw new Refusal('EAGAIN')
        for (const path of used) put(nodes, path, own.get(path))
        for (const { path } of changes) put(nodes, path, own.get(path))
        for (const change of changes) tell(change)
      },
    }
  }
  view(0).write('/local/domain/0/name', new TextEncoder().encode('Domain-0'))
  return {
    values: {
      get: path => {
        const node = nodes.get(path)
        return node === undefined ? undefined : new TextDecoder().decode(node.value)
      },
      has: path => nodes.has(path),
      keys: () => nodes.keys(),
    },
    view,
    begin,
    write: entries => {
      const transaction = begin(0)
      for (const [path, value] of Object.entries(entries)) transaction.view.write(path, new TextEncoder().encode(value))
      transaction.commit()
    },
    remove: path => {
      if (nodes.has(path)) view(0).remove(path)
    },
    announce: event => tell({ path: event, isExact: true }),
    onChange: listener => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}

function put(nodes: Map<string, StoredNode>, path: string, node: StoredNode | undefined): void {
  if (node === undefined) nodes.delete(path)
  else nodes.set(path, node)
}
