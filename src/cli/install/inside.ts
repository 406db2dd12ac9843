import type { Files } from '../../host/files.ts'
import { LAYOUT, PLACES } from './layout.ts'
import { foreign } from './places.ts'

/** What is written or removed in every case. */
const ALWAYS: readonly string[] = [...PLACES.map(([path]) => path), LAYOUT.blockSnapshot]

/** And what is, where block-iscsi is taken or given back: dpkg follows links to its own files. */
export const DIVERTED: readonly string[] = [LAYOUT.blockIscsi, '/var/lib/dpkg/diversions']

/**
 * Whoever runs this is root, and the tree below a prefix, that of an image, may be somebody else's: no link in it may lead
 * out of it. A link that stays inside is followed. On the host itself, without a prefix, links are the administrator's.
 *
 * @throws {@link LunError} `FOREIGN_FILE`
 */
export async function checkInside(files: Files, root: string, places: readonly string[] = ALWAYS): Promise<void> {
  if (root === '') return
  const base = ((await files.realpath(root)) ?? root).replace(/\/$/, '')
  for (const step of new Set(places.flatMap(stepsTo))) {
    const path = `${root}${step}`
    if ((await files.linkStat(path))?.kind !== 'link') continue
    const real = await files.realpath(path)
    if (real === undefined) throw foreign(path, 'is a link that leads nowhere')
    if (!real.startsWith(`${base}/`)) throw foreign(path, `is a link that leads out of ${root}, to ${real}`)
  }
}

/** Every folder on the way, and the path itself. */
function stepsTo(path: string): readonly string[] {
  const names = path.split('/').slice(1)
  return names.map((_, n) => `/${names.slice(0, n + 1).join('/')}`)
}
