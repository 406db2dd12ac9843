import { readFileSync } from 'node:fs'
import { isLunError } from '../../src/core/error.ts'
import { createMultipath, type Multipath } from '../../src/multipath/multipath.ts'
import { parseCassette, type Recording } from '../../src/testing/cassette.ts'
import { createReplayExecutor, type ReplayExecutor } from '../../src/testing/replay.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { createMemoryFiles, type MemoryTree } from '../support/memory-files.ts'

export const W1 = '360014058a0906aaaaaa0001000000000'
export const W2 = '360014058a0906aaaaaa0002000000000'

export function cassette(name: string): readonly Recording[] {
  return parseCassette(readFileSync(new URL(`../fixtures/multipath/${name}.txt`, import.meta.url), 'utf8'))
}

/** What the first recorded command printed. */
export function printed(name: string): string {
  return cassette(name)[0]?.stdout ?? ''
}

export function says(command: string, stdout: string, exitCode = 0): Recording {
  return { command, exitCode, stdout, stderr: '' }
}

/** Whether `read` answers, or says that it cannot read this; any other error is a bug. */
export function readsOrRefuses(read: () => unknown): boolean {
  try {
    read()
    return true
  } catch (error) {
    return isLunError(error, 'UNEXPECTED_OUTPUT')
  }
}

export function replay(
  recordings: readonly Recording[],
  tree: MemoryTree = {}
): { readonly multipath: Multipath; readonly executor: ReplayExecutor } {
  const executor = createReplayExecutor(recordings)
  const multipath = createMultipath({ executor, files: createMemoryFiles(tree), clock: createFakeClock() })
  return { multipath, executor }
}
