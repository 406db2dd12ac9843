// Bundles what runs in the machines into one file each: under emulation a module takes Node 50 ms to find and load.
import { readdir, rm } from 'node:fs/promises'
import { basename } from 'node:path'
import { build } from 'esbuild'

const outdir = 'dist-lab'

// Programs lie beside the runner, which starts them.
const programs = (await readdir('lab/programs')).map(name => `programs/${basename(name, '.ts')}`)
const mains = ['runner', 'record', 'shell', 'simulate', 'list', 'hosts/agent', 'hosts/runner']
const nameOf = path => (path.startsWith('programs/') ? basename(path) : path.replace('/', '-'))

await rm(outdir, { recursive: true, force: true })
await build({
  entryPoints: Object.fromEntries([...mains, ...programs].map(path => [nameOf(path), `lab/${path}.ts`])),
  outdir,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  sourcemap: 'linked',
  // For the CommonJS packages below execa.
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  logLevel: 'warning',
})
