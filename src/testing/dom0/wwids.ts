import { type Tree, textFile } from './tree.ts'

/** multipath's file of WWIDs that are to have a map. */
export interface Wwids {
  wwids(): readonly string[]
  hasWwid(wwid: string): boolean
  addWwid(wwid: string): void
  /** False when it was not there. */
  removeWwid(wwid: string): boolean
}

const FILE = '/etc/multipath/wwids'
const HEADER = `# Multipath wwids, Version : 1.0
# NOTE: This file is automatically maintained by multipath and multipathd.
# You should not need to edit this file in normal circumstances.
#
# Valid WWIDs:
`

export function createWwids(tree: Tree): Wwids {
  const read = (): readonly string[] => {
    const file = tree.find(FILE)
    const text = file?.kind === 'file' ? String(file.read()) : ''
    return [...text.matchAll(/^\/(.+)\/$/gm)].flatMap(match => match.slice(1))
  }
  const write = (list: readonly string[]): void =>
    tree.put(FILE, textFile(`${HEADER}${list.map(wwid => `/${wwid}/\n`).join('')}`, 0o600))
  return {
    wwids: read,
    hasWwid: wwid => read().includes(wwid),
    addWwid: wwid => {
      if (!read().includes(wwid)) write([...read(), wwid])
    },
    removeWwid: wwid => {
      const list = read()
      if (!list.includes(wwid)) return false
      write(list.filter(each => each !== wwid))
      return true
    },
  }
}
