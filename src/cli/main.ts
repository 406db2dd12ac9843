#!/usr/bin/env node
// Where the command line meets its process; scripts/bundle.mjs makes one file of it, because dom0 has no node_modules.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { realpathSync } from 'node:fs'
import { dirname } from 'node:path'
import { createLocalHost } from '../host/local.ts'
import { Interrupted } from './io.ts'
import { runCli } from './program.ts'

/** That of package.json, put in by the bundler. */
declare const XEN_LUN_VERSION: string

process.umask(0o022) // what is installed is for everybody to read
// Whoever reads our output may have enough of it (`| head`).
process.stdout.on('error', () => process.exit(1))

const stop = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  // Not `once`: execa re-raises a signal for which it finds no other listener, and would end us before we have undone.
  process.on(name, () => {
    const reason = new Interrupted(name)
    if (stop.signal.aborted) process.exit(reason.exitCode) // the journal knows what is half done
    stop.abort(reason)
  })
}

/** With no folder of the caller's, which it would keep busy. */
async function startLater(args: readonly string[]): Promise<void> {
  const words = [...process.execArgv, ...process.argv.slice(1, 2), ...args]
  const child = spawn(process.execPath, words, { cwd: '/', detached: true, stdio: 'ignore' })
  child.unref()
  await once(child, 'spawn')
}

void runCli(process.argv.slice(2), {
  stdout: text => process.stdout.write(text),
  stderr: text => process.stderr.write(text),
  host: createLocalHost(),
  signal: stop.signal,
  startLater,
  self: {
    version: XEN_LUN_VERSION,
    nodePath: process.execPath,
    folder: dirname(realpathSync(process.argv[1] ?? '.')),
    home: process.env['HOME'],
  },
}).then(exitCode => process.exit(exitCode))
