import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach } from 'vitest'

/** Gives each test of a file a folder of its own on the real file system, which is gone after it. */
export function useTempFolder(take: (folder: string) => void): void {
  let folder = ''
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'xen-lun-'))
    take(folder)
  })
  afterEach(async () => {
    await rm(folder, { recursive: true })
  })
}
