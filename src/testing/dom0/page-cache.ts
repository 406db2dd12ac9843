import type { BlockDevice } from './devices.ts'

export const PAGE_BYTES = 4096

/** Reads from the device what is not in its cache. */
export type PageReader = (offset: number, length: number) => Promise<Uint8Array>

/** Whether the kernel keeps what was read of it: as long as anybody, device-mapper too, has it open. */
export function isOpen({ openCount, holders }: BlockDevice): boolean {
  return openCount > 0 || holders.size > 0
}

/** After the last close nothing is kept. */
export function dropPages(device: BlockDevice): void {
  if (!isOpen(device)) device.pages.clear()
}

/** As a read without O_DIRECT does it: what has been read before is not asked for again. */
export async function readCached(
  { pages }: BlockDevice,
  offset: number,
  length: number,
  read: PageReader
): Promise<Uint8Array> {
  const first = Math.floor(offset / PAGE_BYTES)
  const bytes: number[] = []
  for (let page = first; page * PAGE_BYTES < offset + length; page++) {
    const kept = pages.get(page) ?? (await read(page * PAGE_BYTES, PAGE_BYTES))
    pages.set(page, kept)
    bytes.push(...kept)
  }
  const start = offset - first * PAGE_BYTES
  return Uint8Array.from(bytes.slice(start, start + length))
}

/** What this host writes is in its pages, too. */
export function writeCached({ pages }: BlockDevice, offset: number, data: Uint8Array): void {
  for (const [page, kept] of pages) {
    const at = offset - page * PAGE_BYTES
    const part = data.subarray(Math.max(0, -at), Math.max(0, kept.length - at))
    if (part.length > 0) kept.set(part, Math.max(0, at))
  }
}
