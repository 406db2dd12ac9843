import { createIscsiadm, createMultipath, createScsi, formatHctl, formatPortal, type Host, type Iqn } from 'xen-lun'

const SECTOR_BYTES = 512
const MIB = 1 << 20

/** Target, map and paths as lines, a path with what device-mapper, multipathd and the kernel say of it. */
export async function pathTree(host: Host, target: Iqn, name: string): Promise<readonly string[]> {
  const map = await createMultipath(host).map(name)
  if (map === undefined) return [target]
  const places = await placesOf(host, target)
  const rows = map.paths.map(({ device, dmState, checkerState, deviceState }) => {
    const { portal = '-', hctl = '-' } = places.get(device) ?? {}
    return [portal, hctl, device, dmState, checkerState, deviceState]
  })
  const size = formatSize(await sizeOf(host, map.device))
  const facts = `${map.name}  ${map.device}  ${size}  ${map.activePaths} of ${rows.length} paths`
  return [target, `└─ ${facts}`, ...branches(align(rows)).map(line => `   ${line}`)]
}

/** `64 MiB` */
export function formatSize(bytes: number): string {
  return `${bytes / MIB} MiB`
}

interface Place {
  readonly portal: string
  readonly hctl: string
}

/** Through which portal each disk of the target came. */
async function placesOf(host: Host, target: Iqn): Promise<ReadonlyMap<string, Place>> {
  const scsi = createScsi(host)
  const places = new Map<string, Place>()
  for (const session of await createIscsiadm(host).sessions({ target })) {
    for (const hctl of await scsi.devices(session)) {
      const { persistentPortal: portal } = session
      const place = { portal: portal === undefined ? '-' : formatPortal(portal), hctl: formatHctl(hctl) }
      places.set((await scsi.disk(hctl)) ?? '', place)
    }
  }
  return places
}

async function sizeOf({ files }: Host, device: string): Promise<number> {
  return Number(await files.read(`/sys/block/${device}/size`)) * SECTOR_BYTES
}

function branches(lines: readonly string[]): readonly string[] {
  return lines.map((line, n) => `${n === lines.length - 1 ? '└─' : '├─'} ${line}`)
}

function align(rows: readonly (readonly string[])[]): readonly string[] {
  const width = (column: number): number => Math.max(...rows.map(row => row[column]?.length ?? 0))
  return rows.map(row =>
    row
      .map((cell, column) => cell.padEnd(width(column)))
      .join('  ')
      .trimEnd()
  )
}
