/** What a path is. Device numbers are those of the device a node stands for. */
export interface FileStat {
  readonly kind: 'file' | 'directory' | 'block' | 'other'
  readonly sizeBytes: number
  readonly mode: number
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
  /** `length` bytes at `offset`, or fewer at the end. */
  readAt(path: string, offset: number, length: number): Promise<Uint8Array>
  /** Names in a directory, sorted. */
  list(path: string): Promise<readonly string[]>
  /** Where a symbolic link really ends. */
  realpath(path: string): Promise<string | undefined>
  /** Follows symbolic links. */
  stat(path: string): Promise<FileStat | undefined>
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
  /** Opens (creating it, mode 0600) and hands over a descriptor until `use` settles. */
  withDescriptor<T>(path: string, use: (descriptor: number) => Promise<T>): Promise<T>
}

/** Where {@link Files.replace} writes first: beside `path`, or in `scratch` on the same file system. A crash leaves it. */
export function draftOf(path: string, scratch?: string): string {
  const at = path.lastIndexOf('/')
  return `${scratch ?? path.slice(0, at)}/.${path.slice(at + 1)}.draft`
}
