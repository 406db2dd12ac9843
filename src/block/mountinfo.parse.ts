/** A line of /proc/PID/mountinfo. */
export interface MountedFileSystem {
  /** Of the mount, in whatever namespace it is. */
  readonly id: string
  /** `8:1`; a file system that has no device of its own, as btrfs, has an anonymous one: `0:41`. */
  readonly number: string
  readonly mountPoint: string
  readonly fsType: string
  /** The device, as whoever mounted it wrote it; or any word. */
  readonly source: string
}

/** Reads what proc_pid_mountinfo(5) describes; what is no such line is left out. */
export function parseMountinfo(text: string): readonly MountedFileSystem[] {
  return text.split('\n').flatMap(line => {
    const [before = '', after = ''] = line.split(' - ', 2)
    const [id = '', , number = '', , mountPoint] = before.split(' ')
    const [fsType = '', source = ''] = after.split(' ')
    return mountPoint === undefined ? [] : [{ id, number, mountPoint, fsType, source: unescape(source) }]
  })
}

// mangle() in fs/proc_namespace.c: blank, tab, newline, backslash and # are octal.
function unescape(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCodePoint(Number.parseInt(octal, 8)))
}
