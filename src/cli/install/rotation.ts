import { MARKERS } from './layout.ts'

/** The block script writes to that of Xen's own scripts, which Debian 12's xen-utils-common does not rotate. */
const LOGS: readonly string[] = ['/var/log/xen/xen-lun.log', '/var/log/xen/xen-hotplug.log']

/** Rotates those of our logs that no other file of logrotate names: it refuses a log that is named twice. */
export function logRotation(others: readonly string[]): string {
  const patterns = others.flatMap(logsIn).map(toRegExp)
  const ours = LOGS.filter(log => !patterns.some(pattern => pattern.test(log)))
  if (ours.length === 0) return `${MARKERS.rotation}\n# All of its logs are rotated by others.\n`
  return `${MARKERS.rotation}
${ours.join(' ')} {
  weekly
  rotate 8
  compress
  delaycompress
  missingok
  notifempty
  create 0640 root adm
}
`
}

/** Paths with wildcards, as they stand before each block. */
function logsIn(text: string): readonly string[] {
  const heads = text.replaceAll(/#.*$/gm, '').replaceAll(/\{[^}]*\}/g, '\n')
  return [...heads.matchAll(/(?:^|[\s"'])(\/[^\s"'{}]+)/gm)].map(match => match[1] ?? '')
}

function toRegExp(glob: string): RegExp {
  const source = glob
    .replaceAll(/[.+^$()|[\]\\]/g, '\\$&')
    .replaceAll('*', '[^/]*')
    .replaceAll('?', '[^/]')
  return new RegExp(`^${source}$`)
}
