import { type ChildProcess, spawn } from 'node:child_process'
import process from 'node:process'

/**
 * Starts what outlives this process. It keeps no file system busy with its working directory, and no terminal or pipe of
 * the toolstack open; `stdin` is for what it is to be told.
 */
export function startDetached(
  file: string,
  words: readonly string[],
  { stdin = 'ignore' }: { readonly stdin?: 'ignore' | 'pipe' } = {}
): ChildProcess {
  const stdio = [stdin, 'ignore', 'ignore'] as const
  const child = spawn(file, words, { detached: true, stdio: [...stdio], env: process.env, cwd: '/' })
  child.unref()
  return child
}
