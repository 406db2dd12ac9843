/** Where multipath-tools keep the WWIDs a map was made for. */
export const WWIDS_FILE = '/etc/multipath/wwids'

const ENTRY = /^\/([^/]+)\/$/

/** Reads the wwids file: one `/WWID/` a line; comments and all else are left out (libmultipath/wwids.c). */
export function parseWwids(text: string): readonly string[] {
  return text
    .split('\n')
    .map(line => ENTRY.exec(line.trim())?.[1])
    .filter(wwid => wwid !== undefined)
}
