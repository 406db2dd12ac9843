/** What udev knows of a device: its properties, and the links it made in /dev. */
export interface UdevRecord {
  /** True once the rules have run to their end. */
  readonly isInitialized: boolean
  readonly properties: ReadonlyMap<string, string>
  /** Below /dev: `disk/by-id/…`, `mapper/…`. */
  readonly links: readonly string[]
}

/**
 * Reads a file of /run/udev/data: `I:` microseconds of initialisation, `E:` property, `S:` link
 * (systemd src/libsystemd/sd-device/sd-device.c). Lines of other kinds are passed over.
 */
export function parseUdevRecord(text: string): UdevRecord {
  const lines = text.split('\n').slice(0, -1) // a line without its end may be half a value
  const after = (tag: string): string[] =>
    lines.filter(line => line.startsWith(tag)).map(line => line.slice(tag.length))
  return {
    isInitialized: lines.some(line => /^I:\d+$/.test(line)),
    properties: new Map(
      after('E:').flatMap(line => {
        const at = line.indexOf('=')
        return at > 0 ? [[line.slice(0, at), line.slice(at + 1)] as const] : []
      })
    ),
    links: after('S:').filter(link => link !== ''),
  }
}
