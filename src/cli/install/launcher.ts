import { KEPT_VARIABLES } from '../../hotplug/environment.ts'
import { MARKERS } from './layout.ts'

/**
 * For every node that is started by a launcher: a bundle needs no module from anywhere else. A snapshot fits no other
 * flags than those it was made with.
 */
export const NODE_FLAGS: readonly string[] = ['--no-global-search-paths']

export const SYSTEM_PATH = '/usr/sbin:/usr/bin:/sbin:/bin'

export interface LauncherOptions {
  /** Absolute paths. */
  readonly node: string
  readonly bundle: string
  /** Made of the bundle, and not everywhere there: see snapshot.ts. */
  readonly snapshot: string
  /** Where env and xenstore-write are. */
  readonly searchPath?: string
}

/**
 * What Xen starts. env -i, though it is one exec more (half a millisecond where it was measured, a hundredth of node's own
 * start): a list of variables to remove would miss the next one of node, OpenSSL or glibc. Each exec keeps the process,
 * which is the one that xl waits for and kills.
 *
 * From the snapshot node runs as a child, because only its parent can tell that the snapshot did not work. Should xl kill
 * the launcher meanwhile, node goes on: until its own deadline, by which it has finished or taken back. That is better than
 * to be killed half-way.
 */
export function blockLauncher({ node, bundle, snapshot, searchPath = SYSTEM_PATH }: LauncherOptions): string {
  const kept = KEPT_VARIABLES.map(name => `\${${name}+"${name}=$${name}"}`).join(' ')
  const start = `env -i PATH="$PATH" LC_ALL=C ${kept} \\\n    "$node" ${NODE_FLAGS.join(' ')}`
  return `#!/bin/sh
${MARKERS.blockLauncher}
# Made by "xen-lun install-script", which replaces it when it runs again.
# Xen gives this the environment of whoever called xl; node gets what is named at the end, and nothing else.

node=${quote(node)}
bundle=${quote(bundle)}
snapshot=${quote(snapshot)}
PATH=${quote(searchPath)}
export PATH
unset LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT ENV BASH_ENV

is_number() {
  case $1 in
    '' | *[!0-9]*) return 1 ;;
  esac
}

is_vbd() {
  case $1 in
    /local/domain/*/*)
      set -- "\${1#/local/domain/}"
      is_number "\${1%%/*}" || return 1
      set -- "\${1#*/}"
      ;;
  esac
  case $1 in
    backend/vbd/*/*) set -- "\${1#backend/vbd/}" ;;
    *) return 1 ;;
  esac
  is_number "\${1%%/*}" && is_number "\${1#*/}"
}

# Without node nobody else can tell xl why the disk does not come.
fail() {
  echo "block-xen-lun: $1" >&2
  if is_vbd "\${XENBUS_PATH-}"; then
    xenstore-write -- "$XENBUS_PATH/hotplug-error" "$1" "$XENBUS_PATH/hotplug-status" error
  fi
  exit 1
}

{ [ -f "$node" ] && [ -x "$node" ]; } || fail "$node is not there or not executable; run xen-lun install-script again"
[ -r "$bundle" ] || fail "$bundle is not there; run xen-lun install-script again"

# The script ends with 0 or 1. Anything else is node's own: 14 for the snapshot of another node or processor, a signal for
# a damaged one. The script may be run again at any point, so then the bundle is.
if [ -r "$snapshot" ]; then
  ${start} --snapshot-blob "$snapshot" "$@"
  status=$?
  case $status in
    0 | 1) exit "$status" ;;
  esac
  echo "block-xen-lun: $snapshot does not work (exit status $status); run xen-lun install-script again" >&2
fi

exec ${start} "$bundle" "$@"
`
}

/** What people and systemd start; their DEBUG and LANG stay theirs. */
export function commandLauncher({ node, bundle }: Pick<LauncherOptions, 'node' | 'bundle'>): string {
  return `#!/bin/sh
${MARKERS.commandLauncher}
# Made by "xen-lun install-script", which replaces it when it runs again.

unset NODE_OPTIONS NODE_PATH NODE_V8_COVERAGE NODE_EXTRA_CA_CERTS NODE_DEBUG
exec ${quote(node)} ${NODE_FLAGS.join(' ')} ${quote(bundle)} "$@"
`
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
