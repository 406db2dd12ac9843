import { KEPT_VARIABLES } from '../../hotplug/environment.ts'
import { SCRIPT_FOLDER } from '../../hotplug/request.ts'
import { ROOM, SERVE } from '../../hotplug/room.ts'
import { MARKERS } from './layout.ts'

/**
 * For every node that is started by a launcher: a bundle needs no module from anywhere else. A snapshot fits no other
 * flags than those it was made with.
 */
export const NODE_FLAGS: readonly string[] = ['--no-global-search-paths']

const PATIENCE_S = 20

export const SYSTEM_PATH = '/usr/sbin:/usr/bin:/sbin:/bin'

export interface LauncherOptions {
  /** Absolute paths. */
  readonly node: string
  readonly bundle: string
  /** Made of the bundle, and not everywhere there: see snapshot.ts. */
  readonly snapshot: string
  /** Where env and xenstore-write are. */
  readonly searchPath?: string
  /** Where calls are left for the process that serves them. */
  readonly room?: string
  /** How long a call waits to be taken. */
  readonly patienceS?: number
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
  const { node, bundle, snapshot, searchPath = SYSTEM_PATH, room = ROOM, patienceS = PATIENCE_S } = options
  const kept = KEPT_VARIABLES.map(name => `\${${name}+"${name}=$${name}"}`).join(' ')
  return `#!/bin/bash -p
${MARKERS.blockLauncher}
# Made by "xen-lun install-script", which replaces it when it runs again.
# Xen gives this the environment of whoever called xl; node gets what "start" names, and nothing else.

node=${quote(node)}
bundle=${quote(bundle)}
snapshot=${quote(snapshot)}
room=${quote(room)}
scripts=${quote(SCRIPT_FOLDER)}
log=/var/log/xen/xen-hotplug.log
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

# Calls that depend on nothing but XENBUS_PATH can be served by a process that another call has started.
is_usual() {
  [ $# = 1 ] && [[ $1 = add || $1 = remove ]] && is_vbd && [ -z "\${XENSTORED_PATH-}\${XENSTORED_RUNDIR-}" ] &&
    [ "\${script-$scripts/}" = "$scripts/\${script##*/}" ]
}

# Whether a process of this very bundle serves. While the file is empty it is being written.
is_served() {
  local server=
  [ "$room/server" -nt "$bundle" ] || return
  { read -r server <"$room/server"; } 2>/dev/null
  [ -z "$server" ] || kill -0 "$server" 2>/dev/null
}

# Of those that find nobody one starts a process: who makes the file, or finds there one that is gone. Should two, the
# first one sees that it is not the one that is named, and ends.
start_server() {
  set -C
  { echo "$$" >"$room/server"; } 2>/dev/null || is_served || echo "$$" >|"$room/server"
  set +C
  [ "$(<"$room/server")" = "$$" ] || return
  [ -d "\${log%/*}" ] || log=/dev/null
  {
    cd /
    echo "$BASHPID" >|"$room/server"
    run ${SERVE} "$room" "$BASHPID"
  } </dev/null >/dev/null 2>>"$log" 3>&- &
  # Or bash would tell xl of its end.
  disown
}

# Leaves the call to who serves; returns if it was not taken, or not brought to an end.
ask() {
  local stat call word rest seconds=0
  [ -d "$room" ] || mkdir -p -m 0700 "\${room%/*}" "$room" 2>/dev/null || return
  # A pipe of our own, open both ways; who serves finds it in /proc.
  exec 3<> <(:) || return
  # proc_pid_stat(5): when this process was started, which tells it from a later one of its number.
  read -r stat <"/proc/$$/stat"
  stat=(\${stat##*) })
  call="$1,\${XENBUS_PATH//\\//+},$$,\${stat[19]}"
  trap 'is_stopped=yes; : >"$room/$call.stop"' TERM INT HUP
  : >"$room/$call"
  is_served || start_server
  until read -r -t 1 -u 3 word; do
    seconds=$((seconds + 1))
    if [ "$seconds" -ge ${patienceS} ] || ! is_served; then
      # Whoever removes it has the call.
      rm "$room/$call" && return
    fi
  done 2>/dev/null
  # Only for reading, so that its end is seen.
  exec 4<"/proc/$$/fd/3" 3<&-
  while read -r -u 4 word rest; do
    case $word in
      say) echo "$rest" >&2 ;;
      exit) exit "$rest" ;;
    esac
  done
}

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

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
