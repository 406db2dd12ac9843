import { KEPT_VARIABLES } from '../../hotplug/environment.ts'
import { SCRIPT_FOLDER } from '../../hotplug/request.ts'
import { type AskOptions, askFunctions } from './launcher-ask.ts'
import { MARKERS } from './layout.ts'
import { quote } from './quote.ts'

/**
 * For every node that is started by a launcher: a bundle needs no module from anywhere else. A snapshot fits no other
 * flags than those it was made with.
 */
export const NODE_FLAGS: readonly string[] = ['--no-global-search-paths']

export const SYSTEM_PATH = '/usr/sbin:/usr/bin:/sbin:/bin'

export interface LauncherOptions extends AskOptions {
  /** Absolute paths. */
  readonly node: string
  readonly bundle: string
  /** Made of the bundle, and not everywhere there: see snapshot.ts. */
  readonly snapshot: string
  /** Where env and xenstore-write are. */
  readonly searchPath?: string
}

/**
 * What Xen starts. It leaves the call to the process that serves all disks of this host, and starts that process where there
 * is none: node's start is the longest part of a call, and xl makes one for each of a guest's disks at the same time.
 * What that process does not take, and calls it is not for, this one runs itself. bash, as Xen's own scripts: sh has no
 * read with a time limit. -p: without the functions and BASH_ENV of whoever called xl.
 *
 * env -i, though it is one exec more (half a millisecond where it was measured, a hundredth of node's own start): a list of
 * variables to remove would miss the next one of node, OpenSSL or glibc.
 *
 * From the snapshot node runs as a child, because only its parent can tell that the snapshot did not work. Should xl kill
 * the launcher meanwhile, node goes on: until its own deadline, by which it has finished or taken back. That is better than
 * to be killed half-way. A call that is served goes on just so.
 */
export function blockLauncher(options: LauncherOptions): string {
  const { node, bundle, snapshot, searchPath = SYSTEM_PATH } = options
  const kept = KEPT_VARIABLES.map(name => `\${${name}+"${name}=$${name}"}`).join(' ')
  return `#!/bin/bash -p
${MARKERS.blockLauncher}
# Made by "xen-lun install-script", which replaces it when it runs again.
# Xen gives this the environment of whoever called xl; node gets what "start" names, and nothing else.

node=${quote(node)}
bundle=${quote(bundle)}
snapshot=${quote(snapshot)}
scripts=${quote(SCRIPT_FOLDER)}
PATH=${quote(searchPath)}
LC_ALL=C
export PATH LC_ALL
unset LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT
IFS=$' \t\n'
start=(env -i PATH="$PATH" LC_ALL=C ${kept} "$node" ${NODE_FLAGS.join(' ')})

is_vbd() {
  [[ \${XENBUS_PATH-} =~ ^(/local/domain/[0-9]+/)?backend/vbd/[0-9]+/[0-9]+$ ]]
}

# Where the script does not run, nobody else can tell xl why the disk does not come.
fail() {
  echo "block-xen-lun: $1" >&2
  if is_vbd; then
    xenstore-write -- "$XENBUS_PATH/hotplug-error" "$1" "$XENBUS_PATH/hotplug-status" error
  fi
  exit 1
}

# The script ends with 0 or 1. Anything else is node's own: 14 for the snapshot of another node or processor, a signal for
# a damaged one. The script may be run again at any point, so then the bundle is.
run() {
  local status
  if [ -r "$snapshot" ]; then
    "\${start[@]}" --snapshot-blob "$snapshot" "$@"
    status=$?
    case $status in
      0 | 1) exit "$status" ;;
    esac
    echo "block-xen-lun: $snapshot does not work (exit status $status); run xen-lun install-script again" >&2
  fi
  exec "\${start[@]}" "$bundle" "$@"
}

${askFunctions(options)}
{ [ -f "$node" ] && [ -x "$node" ]; } || fail "$node is not there or not executable; run xen-lun install-script again"
[ -r "$bundle" ] || fail "$bundle is not there; run xen-lun install-script again"

is_stopped=
if is_usual "$@"; then
  ask "$1"
  [ -z "$is_stopped" ] || fail 'ended by a signal'
  trap - TERM INT HUP
fi
run "$@"
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
