import { expect, test } from 'vitest'
import { createNodeFiles } from '../../src/host/node-files.ts'
import { formatProcessId, isAlive, parseProcessId, thisProcess } from '../../src/host/process-id.ts'
import { createMemoryFiles, type MemoryFiles } from '../support/memory-files.ts'

const PIDS = '4026531836'
const TIMES = '4026531834'

interface Seen {
  readonly start?: number
  readonly state?: string
  readonly threads?: number
  readonly times?: string
}

/** A machine on which process 7 is seen so, by one of those namespaces. */
function machine({ start = 123, state = 'S', threads = 11, times = TIMES }: Seen = {}): MemoryFiles {
  const stat = `7 (node (1) b) ${state} 1${' 0'.repeat(15)} ${threads} 0 ${start} 0\n`
  const files = createMemoryFiles({ files: { '/proc/7/stat': stat } })
  const inodes: Readonly<Record<string, string>> = { '/proc/self/ns/pid': PIDS, '/proc/self/ns/time': times }
  return {
    ...files,
    stat: async path => {
      const inode = inodes[path]
      if (inode === undefined || inode === '') return undefined
      return {
        kind: 'other',
        sizeBytes: 0,
        mode: 0o444,
        uid: 0,
        mtimeMs: 0,
        inode: Number(inode),
        device: { major: 0, minor: 0 },
      }
    },
  }
}

async function alive(text: string, seen?: Seen): Promise<boolean> {
  const id = parseProcessId(text)
  return id === undefined ? expect.fail(`no process: ${text}`) : await isAlive(machine(seen), id)
}

test('a process names its namespaces, and is alive to itself', async () => {
  const files = createNodeFiles()
  const own = await thisProcess(files)
  expect(own.pid).toBe(String(process.pid))
  expect(parseProcessId(formatProcessId(own))).toEqual(own)
  expect(formatProcessId(own)).toMatch(/^\d+ \d+ \d+ \d+$/)
  expect(await isAlive(files, own)).toBe(true)
  expect(await isAlive(files, { ...own, start: '1' })).toBe(false)
})

test.each([
  ['is there', `7 123 ${PIDS} ${TIMES}`, {}, true],
  ['is gone', `8 123 ${PIDS} ${TIMES}`, {}, false],
  ['has its number from one that is gone', `7 99 ${PIDS} ${TIMES}`, {}, false],
  ['is of another pid namespace', `8 123 77 ${TIMES}`, {}, true],
  ['is there, its start shown in another time', `7 99 ${PIDS} 88`, {}, true],
  ['is gone, whatever time it was in', `8 99 ${PIDS} 88`, {}, false],
  ['is there, of an older version', `7 123 ${PIDS}`, {}, true],
  ['is gone, of an older version', `8 123 ${PIDS}`, {}, false],
  ['may be there, of an older version that did not note its time', `7 99 ${PIDS}`, {}, true],
  ['is gone, of an older version, where all have one time', `7 99 ${PIDS}`, { times: '' }, false],
  ['is gone, where all have one time', `7 99 ${PIDS} 0`, { times: '' }, false],
  ['has ended, and its parent did not ask how', `7 123 ${PIDS} ${TIMES}`, { state: 'Z', threads: 1 }, false],
  ['has ended but for a thread within the kernel', `7 123 ${PIDS} ${TIMES}`, { state: 'Z', threads: 2 }, true],
  ['sleeps in the kernel', `7 123 ${PIDS} ${TIMES}`, { state: 'D', threads: 1 }, true],
])('one that %s', async (_, text, seen, isThere) => {
  expect(await alive(text, seen)).toBe(isThere)
})

test.each(['', '7', '7 1', '7 1 2 3 4', '7 1 2 ', ' 7 1 2', '7 1 2 x', '-7 1 2'])('%j is no process', text => {
  expect(parseProcessId(text)).toBeUndefined()
})
