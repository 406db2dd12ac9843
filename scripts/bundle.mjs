// Bundles the block script into one executable file: dom0 has no node_modules.
import { chmod } from 'node:fs/promises'
import { build } from 'esbuild'

const outfile = 'dist/block-xen-lun.cjs'

await build({
  entryPoints: ['examples/block-script/main.ts'],
  outfile,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  minifyWhitespace: true,
  minifySyntax: true,
  legalComments: 'inline',
  logLevel: 'warning',
})
await chmod(outfile, 0o755)
