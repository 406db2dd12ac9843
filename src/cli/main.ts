#!/usr/bin/env node
// Where the command line meets its process; scripts/bundle.mjs makes one file of it, because dom0 has no node_modules.
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
// Once: the second signal ends the process at once, and the journal knows what it had begun.
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort(new Interrupted(name)))

void runCli(process.argv.slice(2), {
  stdout: text => process.stdout.write(text),
  stderr: text => process.stderr.write(text),
  host: createLocalHost(),
  signal: stop.signal,
  self: {
    version: XEN_LUN_VERSION,
    nodePath: process.execPath,
    folder: dirname(realpathSync(process.argv[1] ?? '.')),
    home: process.env['HOME'],
  },
}).then(exitCode => process.exit(exitCode))
