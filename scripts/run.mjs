// Runs a TypeScript file against the sources, without a build: node scripts/run.mjs FILE [ARGUMENT]...
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { argv } from 'node:process'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'

const source = path => fileURLToPath(new URL(`../src/${path}`, import.meta.url))

// From here on the arguments are those of the file.
argv.splice(1, 1)
const [, entry = ''] = argv
const folder = mkdtempSync(join(tmpdir(), 'xen-lun-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
const outfile = join(folder, 'main.mjs')

await build({
  entryPoints: [entry],
  outfile,
  alias: { 'xen-lun/testing': source('testing/index.ts'), 'xen-lun': source('index.ts') },
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  // For the CommonJS packages below execa.
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  logLevel: 'warning',
})
await import(pathToFileURL(outfile))
