// Bundles what runs in the machines into one file each: under emulation a module takes Node 50 ms to find and load.
// With LAB_COMPARE=DIR, a checkout that is built, also the program "timing" with that one's library.
import { readdir, rm } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { build } from 'esbuild'

const outdir = 'dist-lab'

// Programs lie beside the runner, which starts them.
const programs = (await readdir('lab/programs')).map(name => `programs/${basename(name, '.ts')}`)
const mains = ['runner', 'record', 'shell', 'simulate', 'list', 'hosts/agent', 'hosts/runner']
const nameOf = path => (path.startsWith('programs/') ? basename(path) : path.replace('/', '-'))

await rm(outdir, { recursive: true, force: true })
const common = {
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
}
await build({
  ...common,
  entryPoints: Object.fromEntries([...mains, ...programs].map(path => [nameOf(path), `lab/${path}.ts`])),
})
const { LAB_COMPARE: other } = process.env
if (other) {
  await build({
    ...common,
    entryPoints: { 'timing-other': 'lab/programs/timing.ts' },
    alias: { 'xen-lun': resolve(other, 'dist/index.js') },
  })
}
