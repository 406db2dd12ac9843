import type { Files } from '../host/files.ts'
import { startOf } from '../host/process-id.ts'

/**
 * The directory through which launchers reach the process that serves them. A call is a file with a name that says it all;
 * whoever removes it has taken the call upon itself. With `.stop` behind its name it says that its launcher was told to end.
 * `server` names the process that serves.
 */
export const ROOM = '/run/xen-lun/script'

export const SERVER = 'server'
/** The script's own word for it, before the room and the name. */
export const SERVE = 'serve'
const STOP = '.stop'

/** A call whose launcher waits for its end. */
export interface WaitingCall {
  /** Of its file. */
  readonly name: string
  readonly action: 'add' | 'remove'
  readonly xenbusPath: string
  readonly launcher: Launcher
}

/** The process that the toolstack has started and waits for. */
export interface Launcher {
  readonly pid: string
  /** Clock ticks since boot, field 22 of proc_pid_stat(5). */
  readonly start: string
}

// XENBUS_PATH with its slashes replaced.
const NAME = /^(add|remove),([a-z0-9+]+),(\d+),(\d+)$/

/** What the name of a file in the room says. */
export function parseCall(name: string): WaitingCall | undefined {
  const [, action, path = '', pid = '', start = ''] = NAME.exec(name) ?? []
  if (action !== 'add' && action !== 'remove') return undefined
  return { name, action, xenbusPath: path.replaceAll('+', '/'), launcher: { pid, start } }
}

/** The name of what stops a call. */
export function stopOf(name: string): string {
  return `${name}${STOP}`
}

/** The call that a file is to stop. */
export function parseStop(name: string): WaitingCall | undefined {
  return name.endsWith(STOP) ? parseCall(name.slice(0, -STOP.length)) : undefined
}

export async function isThere(files: Files, { pid, start }: Launcher): Promise<boolean> {
  return (await startOf(files, pid)) === start
}
