// Bundles what runs in dom0 into one file each: under emulation a module takes Node 50 ms to find and load.
import { rm } from 'node:fs/promises'
import { build } from 'esbuild'

const outdir = 'dist-lab'

await rm(outdir, { recursive: true, force: true })
await build({
  entryPoints: ['runner', 'record', 'shell', 'simulate'].map(name => `lab/${name}.ts`),
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
