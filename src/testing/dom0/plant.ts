import { directory, type Tree, type TreeNode, textFile } from './tree.ts'

/** A file of any kind, whose it is, and who may do what with it. */
export interface PlantedFile {
  /** Nobody ever opens the other end of a `fifo`. */
  readonly kind: 'file' | 'directory' | 'link' | 'fifo'
  /** Of a file. */
  readonly text?: string
  /** Of a link, which may lead nowhere. */
  readonly target?: string
  /** Default 0: root's. */
  readonly uid?: number
  /** Default 0644, of a directory 0755. */
  readonly mode?: number
}

/** Puts a file where it is wanted, in the place of what is there. Folders above it are root's. */
export function plant(tree: Tree, path: string, file: PlantedFile): void {
  tree.put(path, nodeOf(file))
}

function nodeOf({ kind, text = '', target = '', uid = 0, mode }: PlantedFile): TreeNode {
  switch (kind) {
    case 'file':
      return textFile(text, mode, uid)
    case 'directory':
      return directory(mode, uid)
    case 'link':
      return { kind, target, uid }
    case 'fifo':
      return { kind, mode: mode ?? 0o644, uid }
  }
}
