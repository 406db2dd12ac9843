import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import * as fs from 'node:fs/promises'
import { draftOf } from './files.ts'
import { isKeptInMemory } from './node-memory.ts'

/** As {@link Files.replace} wants it. */
export async function replace(path: string, text: string, mode: number, scratch?: string): Promise<void> {
  const draft = draftOf(path, scratch)
  if (isKeptInMemory(path) && isKeptInMemory(draft)) {
    replaceInMemory(path, draft, text, mode)
    return
  }
  // Left by a crash. A new file, because only a new one surely has the mode.
  await fs.rm(draft, { force: true })
  const file = await fs.open(draft, 'wx', mode)
  try {
    await file.writeFile(text)
    await file.sync()
    await file.close()
    await fs.rename(draft, path)
  } catch (error) {
    await file.close().catch(() => {})
    await fs.rm(draft, { force: true })
    throw error
  }
}

function replaceInMemory(path: string, draft: string, text: string, mode: number): void {
  rmSync(draft, { force: true })
  try {
    const file = openSync(draft, 'wx', mode)
    try {
      writeFileSync(file, text)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(draft, path)
  } catch (error) {
    rmSync(draft, { force: true })
    throw error
  }
}
