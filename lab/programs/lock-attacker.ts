import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { inspect } from 'node:util'
import type { Attempt, LockAttackerLine } from '../world/protocol.ts'
import { heard, say } from '../world/speech.ts'

// Somebody without any right who tries what locks could be made to do. Is given lists of attempts, and tells how each went.

const tell = (line: LockAttackerLine): void => say(line)

const ways: { readonly [K in Attempt['kind']]: (attempt: Extract<Attempt, { readonly kind: K }>) => void } = {
  mkdir: ({ path }) => {
    mkdirSync(path)
    chmodSync(path, 0o777)
  },
  // One that fails says so by its exit status only; what the file system thinks of it, the next attempt tells.
  mkfifo: ({ path }) => {
    execFileSync('mkfifo', [path], { stdio: 'ignore' })
  },
  unlink: ({ path }) => unlinkSync(path),
  symlink: ({ path, text }) => symlinkSync(text, path),
  write: ({ path, text }) => writeFileSync(path, text),
}

const attempt = (what: Attempt): string => {
  try {
    const way: (attempt: never) => void = ways[what.kind]
    way(what as never)
    return 'done'
  } catch (error) {
    return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'failed'
  }
}

if (process.getuid?.() === 0) throw new Error('with rights there is nothing to attack')
tell({ type: 'ready' })
for await (const line of heard()) {
  try {
    const attempts: readonly Attempt[] = JSON.parse(line)
    tell({ type: 'tried', outcomes: attempts.map(attempt) })
  } catch (error) {
    tell({ type: 'failed', error: inspect(error) })
  }
}
process.exit(0)
