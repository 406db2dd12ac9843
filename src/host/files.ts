/** What a path is. Device numbers are those of the device a node stands for. */
export interface FileStat {
  /** `link` only where links are not followed; `other` is a FIFO, a socket, a character device. */
  readonly kind: 'file' | 'directory' | 'block' | 'link' | 'other'
  readonly sizeBytes: number
  readonly mode: number
  /** Number of the user whose it is; 0 is root. */
  readonly uid: number
  readonly mtimeMs: number
  /** Tells a file from another one that took its place; a rename and a hard link keep it. */
  readonly inode: number
  readonly device: { readonly major: number; readonly minor: number }
}

/**
 * Port to the file system: sysfs, /proc, /dev, /run/udev, the node database.
 *
 * What does not exist is an answer, not an exception, because sysfs entries come and go under us:
 * `undefined`, `false` or an empty list. So is an attribute of sysfs that answers EINVAL, as those of a map do while it is
 * being removed. Every other failure rejects with Node's own error.
 */
export interface Files {
  /** The whole file as UTF-8. */
  read(path: string): Promise<string | undefined>
  /**
   * `length` bytes at `offset`, or fewer at the end. `isDirect` asks the device itself and not the kernel's copy of what
   * was read of it before (`O_DIRECT`); offset and length are multiples of 4096 then.
   */
  readAt(path: string, offset: number, length: number, options?: ReadAtOptions): Promise<Uint8Array>
  /** Names in a directory, sorted. */
  list(path: string): Promise<readonly string[]>
  /** What a symbolic link says, without following it; undefined for what is none. */
  readLink(path: string): Promise<string | undefined>
  /** Where a symbolic link really ends. */
  realpath(path: string): Promise<string | undefined>
  /** Follows symbolic links. */
  stat(path: string): Promise<FileStat | undefined>
  /** Of a last link, the link itself. */
  linkStat(path: string): Promise<FileStat | undefined>
  /** What processes have open that has a path, as the kernel has it in memory: no file system is asked. */
  openFiles(pids: readonly string[]): Promise<readonly OpenFile[]>
  /**
   * What a process has open, by its number and that of the descriptor. Asked at once, without a thread of its own: whoever
   * asks has made sure that the file system has its open files in memory, since any other one may block this process.
   */
  statOpen(pid: string, descriptor: string): Promise<FileStat | undefined>
  /**
   * Whether the kernel refuses a block device to one who wants it alone (`O_EXCL`): it does while a mount, swap,
   * device-mapper, md, bcache, LIO or ZFS has it or one of its partitions, in whatever namespace. It does not for what
   * opened the device like a file, as a process or xen-blkback does. False also for a device that does not answer,
   * since claims are looked at first. Undefined when there is no such device.
   */
  isClaimed(path: string): Promise<boolean | undefined>
  /** Writes into an existing file, as sysfs wants it. False when it is not there (any more). */
  write(path: string, text: string): Promise<boolean>
  /**
   * Writes a new file with `mode`, its draft, and puts it in the place of `path` in one step. Writers of one
   * path must exclude each other.
   */
  replace(path: string, text: string, mode: number, scratch?: string): Promise<void>
  /** Hard link; false when `path` exists already. */
  link(existing: string, path: string): Promise<boolean>
  /** Removes a file. False when it is not there. */
  remove(path: string): Promise<boolean>
  /** With its parents. */
  makeDirectory(path: string, mode: number): Promise<void>
  /** False when it is not there or not empty. */
  removeDirectory(path: string): Promise<boolean>
  /** Writes cached pages of a file or block device through to it. False when it is not there. */
  sync(path: string): Promise<boolean>
  /** Opens (creating it, mode 0600), not through a last link, and hands over a descriptor until `use` settles. */
  withDescriptor<T>(path: string, use: (descriptor: number) => Promise<T>): Promise<T>
}

/** A file that a process has open. */
export interface OpenFile {
  readonly pid: string
  readonly descriptor: string
  /** As the process would find it; `… (deleted)` when it is not there any more. */
  readonly path: string
  /** Number of the mount it is on, in whatever namespace. */
  readonly mount: string | undefined
}

/** How {@link Files.readAt} reads. */
export interface ReadAtOptions {
  readonly isDirect?: boolean
}

/** Where {@link Files.replace} writes first: beside `path`, or in `scratch` on the same file system. A crash leaves it. */
export function draftOf(path: string, scratch?: string): string {
  const at = path.lastIndexOf('/')
  return `${scratch ?? path.slice(0, at)}/.${path.slice(at + 1)}.draft`
}

/** Whether a file's name is that of a draft. */
export function isDraft(name: string): boolean {
  return /^\..+\.draft$/.test(name)
}

/** Name of the file that a draft is of. */
export function nameOfDraft(draft: string): string {
  return draft.replace(/^\.(.+)\.draft$/, '$1')
}
