import { ROOM, SERVE } from '../../hotplug/room.ts'
import { quote } from './quote.ts'

/** Of a call that waits for another process to take it; all of it may be left out. */
export interface AskOptions {
  /** Where calls are left for the process that serves them. */
  readonly room?: string
  /** How long a call waits to be taken, from the launcher's start. */
  readonly patienceS?: number
  /** The same where the toolstack itself waits no longer than 10 s. */
  readonly shortPatienceS?: number
  /** Where the process that serves writes what it has to say. */
  readonly log?: string
  /** Where the kernel says which Xen this is. */
  readonly xenVersion?: string
}

// Of the 32 s and the 8 s that the script takes, so that it can still run by itself: hotplug/budget.ts.
const PATIENCE_S = 20
const SHORT_PATIENCE_S = 4
const LOG = '/var/log/xen/xen-hotplug.log'
const XEN_VERSION = '/sys/hypervisor/version'

/**
 * The launcher's functions, in bash, that leave a call to the process that serves all disks of this host: `is_usual`, whether
 * it may be left, and `ask`, which returns where the launcher has to run the script itself.
 *
 * No state of the room may cost a call more than running the script itself does, since xl waits meanwhile: what is not
 * exactly as a launcher makes it is not obeyed, and what nobody answers is waited for once. `/run` may be full, and a process
 * that serves may be killed at any point. So who serves is named by its number and its start, and the file never is
 * empty for longer than it takes to write a line.
 */
export function askFunctions(options: AskOptions): string {
  const {
    room = ROOM,
    patienceS = PATIENCE_S,
    shortPatienceS = SHORT_PATIENCE_S,
    log = LOG,
    xenVersion = XEN_VERSION,
  } = options
  return `room=${quote(room)}
log=${quote(log)}
xen_version=${quote(xenVersion)}

# Calls that depend on nothing but XENBUS_PATH can be served by a process that another call has started.
is_usual() {
  [ $# = 1 ] && [[ $1 = add || $1 = remove ]] && is_vbd && [ -z "\${XENSTORED_PATH-}\${XENSTORED_RUNDIR-}" ] &&
    [ "\${script-$scripts/}" = "$scripts/\${script##*/}" ]
}

# Of the user this runs as, and no link to something that is.
is_own() {
  [ ! -L "$1" ] && [ -O "$1" ]
}

# Sets "started" to when a process was started, which tells it from a later one of its number: proc_pid_stat(5). The name in
# it may hold anything. A process that has ended, though nobody has asked how, is none.
find_start() {
  local stat=
  { read -r -d '' stat <"/proc/$1/stat"; } 2>/dev/null
  stat=(\${stat##*) })
  started=
  [[ \${stat[0]-} != [ZX] ]] && started=\${stat[19]-}
  [ -n "$started" ]
}

# Whether a process of this very bundle serves; "server" is its name. While the file is empty it is being written, which takes
# a moment: after a tenth of a second there was no room for the line, or who wrote it was killed.
is_served() {
  local looks=0 pid= start=
  while [ -f "$room/server" ] && is_own "$room/server" && [ "$room/server" -nt "$bundle" ]; do
    { read -r -n 64 pid start <"$room/server"; } 2>/dev/null
    if [ -n "$pid" ]; then
      server="$pid $start"
      [[ $pid =~ ^[0-9]+$ ]] && find_start "$pid" && [ "$started" = "$start" ]
      return
    fi
    looks=$((looks + 1))
    [ "$looks" -le 10 ] || return
    read -r -t 0.01 -u 3 word && return
  done
  return 1
}

# Of those that find nobody one starts a process: who makes the file. Should two, because both have removed what they found
# there, the first one sees that it is not the one that is named, and ends. Fails where nobody can be named.
start_server() {
  if [ -e "$room/server" ] || [ -L "$room/server" ]; then
    rm -f "$room/server" 2>/dev/null
  fi
  { echo "$$ $since" >"$room/server"; } 2>/dev/null
  if ! is_served; then
    rm -f "$room/server" 2>/dev/null
    return 1
  fi
  [ "$server" = "$$ $since" ] || return 0
  { : >>"$log"; } 2>/dev/null || log=/dev/null
  {
    cd /
    find_start "$BASHPID"
    # Over the line that is there: a file that was emptied first might find no room for it.
    echo "$BASHPID $started" 1<>"$room/server"
    run ${SERVE} "$room" "$BASHPID $started"
  } </dev/null >/dev/null 2>>"$log" 3>&- &
  # Or bash would tell xl of its end.
  disown
}

# libxl gives a script 40 s; 10 s where the disk is a driver domain's, and before Xen 4.6.
is_patient() {
  local major=5 minor=0
  [[ $XENBUS_PATH = /local/domain/0/* ]] || return
  { read -r major <"$xen_version/major" && read -r minor <"$xen_version/minor"; } 2>/dev/null
  [ "$major" -gt 4 ] || { [ "$major" = 4 ] && [ "$minor" -ge 6 ]; }
}

# Whether there is no more time to wait for somebody else. A start is in hundredths of a second since the boot.
is_over() {
  local uptime rest
  read -r uptime rest </proc/uptime
  [ "$((\${uptime%.*} - since / 100))" -ge "$patience" ]
}

# Leaves the call to who serves; returns if it was not taken, or not brought to an end.
ask() {
  local call found= patience=${shortPatienceS} rest server since started word=
  [ -d "$room" ] || mkdir -p -m 0700 "\${room%/*}" "$room" 2>/dev/null
  { is_own "\${room%/*}" && is_own "$room" && [ -d "$room" ]; } || return
  ! is_patient || patience=${patienceS}
  # A pipe of our own, open both ways; who serves finds it in /proc. It stays open in the script that this process may become:
  # somebody may still answer.
  exec 3<> <(:) || return
  find_start "$$" || return
  since=$started
  call="$1,\${XENBUS_PATH//\\//+},$$,$since"
  # Every file in the room is a new one.
  set -C
  trap 'is_stopped=yes; { : >"$room/$call.stop"; } 2>/dev/null' TERM INT HUP
  { : >"$room/$call"; } 2>/dev/null || return
  if is_served; then
    found=$server
  elif ! start_server; then
    rm "$room/$call" 2>/dev/null && return
  fi
  until [ -n "$word" ] || read -r -t 1 -u 3 word; do
    if ! is_over; then
      ! is_served || continue
    elif is_served && [ "$server" = "$found" ]; then
      # It had all the time there was. The next call is not to lose it once more.
      rm -f "$room/server"
    fi
    # Whoever removes it has the call.
    rm "$room/$call" && return
    # Nobody can remove it; or who did was killed before it could say so.
    [ ! -e "$room/$call" ] && ! is_over || return
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
`
}
