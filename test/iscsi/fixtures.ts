import { readFileSync } from 'node:fs'
import { expect } from 'vitest'
import { type ErrorCode, isLunError, type LunError } from '../../src/core/error.ts'
import { iqn } from '../../src/core/iqn.ts'
import { parseCassette } from '../../src/testing/cassette.ts'
import { createReplayExecutor, type ReplayExecutor } from '../../src/testing/replay.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { createFakeLocks } from '../support/fake-locks.ts'
import { createMemoryFiles, type MemoryFiles } from '../support/memory-files.ts'

const FOLDER = new URL('../fixtures/iscsiadm/', import.meta.url)

export function fixture(name: string): string {
  return readFileSync(new URL(name, FOLDER), 'utf8')
}

export function replay(...cassettes: readonly string[]): ReplayExecutor {
  return createReplayExecutor(cassettes.flatMap(name => parseCassette(fixture(`${name}.txt`))))
}

export const V1 = iqn('iqn.2001-05.com.equallogic:0-8a0906-1-vol1')
export const V2 = iqn('iqn.2001-05.com.equallogic:0-8a0906-2-vol2')
export const V3 = iqn('iqn.2001-05.com.equallogic:0-8a0906-3-vol3')
export const NOBODY = iqn('iqn.2026-01.test:nope')

/** The text of a real record, with other values. */
export function recordText(values: Readonly<Record<string, string>> = {}): string {
  let text = fixture('node-record.conf')
  for (const [name, value] of Object.entries(values)) {
    const line = new RegExp(`^${name.replaceAll(/[.[\]]/g, String.raw`\$&`)} = .*$`, 'm')
    text = line.test(text)
      ? text.replace(line, `${name} = ${value}`)
      : text.replace('# END', `${name} = ${value}\n# END`)
  }
  return text
}

export interface TestHost {
  readonly executor: ReplayExecutor
  readonly files: MemoryFiles
  readonly clock: ReturnType<typeof createFakeClock>
  readonly locks: ReturnType<typeof createFakeLocks>
}

export function testHost(executor: ReplayExecutor = replay(), files: Readonly<Record<string, string>> = {}): TestHost {
  return { executor, files: createMemoryFiles({ files }), clock: createFakeClock(), locks: createFakeLocks() }
}

/** The error a call ends with. */
export async function failureOf<C extends ErrorCode>(
  work: Promise<unknown> | (() => unknown),
  code: C
): Promise<LunError<C>> {
  try {
    await (typeof work === 'function' ? work() : work)
  } catch (error) {
    if (isLunError(error, code)) return error
    throw error
  }
  return expect.fail(`did not fail with ${code}`)
}
