/** Where everything goes, below a prefix. Xen's scripts are where Debian's xen-utils-common has block-iscsi. */
export const LAYOUT = {
  folder: '/usr/local/lib/xen-lun',
  blockBundle: '/usr/local/lib/xen-lun/block-xen-lun.cjs',
  /** Binary, so without a marker; the folder is ours alone. */
  blockSnapshot: '/usr/local/lib/xen-lun/block-xen-lun.blob',
  commandBundle: '/usr/local/lib/xen-lun/xen-lun.cjs',
  blockScript: '/etc/xen/scripts/block-xen-lun',
  command: '/usr/local/sbin/xen-lun',
  service: '/etc/systemd/system/xen-lun-reconcile.service',
  timer: '/etc/systemd/system/xen-lun-reconcile.timer',
  rotation: '/etc/logrotate.d/xen-lun',
  blockIscsi: '/etc/xen/scripts/block-iscsi',
  /** Where Xen's own goes when ours takes its place. */
  divertedBlockIscsi: '/etc/xen/scripts/block-iscsi.xen',
} as const

/** A file of ours: what is in it, and the line by which it is known again. */
export interface OwnFile {
  readonly path: string
  readonly text: string
  readonly mode: number
  readonly marker: string
}

export const MARKERS = {
  blockLauncher: '# xen-lun block script launcher',
  commandLauncher: '# xen-lun command launcher',
  unit: '# xen-lun unit',
  rotation: '# xen-lun log rotation',
  /** Put in by scripts/bundle.mjs. */
  bundle: '// xen-lun bundle',
} as const

/** Every place, with the marker of what is ours there. */
export const PLACES: readonly (readonly [path: string, marker: string])[] = [
  [LAYOUT.blockBundle, MARKERS.bundle],
  [LAYOUT.commandBundle, MARKERS.bundle],
  [LAYOUT.blockScript, MARKERS.blockLauncher],
  [LAYOUT.command, MARKERS.commandLauncher],
  [LAYOUT.service, MARKERS.unit],
  [LAYOUT.timer, MARKERS.unit],
  [LAYOUT.rotation, MARKERS.rotation],
]
