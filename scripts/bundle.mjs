// Bundles what runs in dom0, which has no node_modules, into one executable file each: node scripts/bundle.mjs [FOLDER]
import { chmod, readFile } from 'node:fs/promises'
import { build } from 'esbuild'

const folder = process.argv[2] ?? 'dist'
const { version } = JSON.parse(await readFile('package.json', 'utf8'))
const entryPoints = { 'block-xen-lun': 'examples/block-script/main.ts', 'xen-lun': 'src/cli/main.ts' }

await build({
  entryPoints,
  outdir: folder,
  outExtension: { '.js': '.cjs' },
  // By this line install-script knows a bundle again: src/cli/install/layout.ts.
  banner: { js: '// xen-lun bundle' },
  define: { XEN_LUN_VERSION: JSON.stringify(version) },
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  minifyWhitespace: true,
  minifySyntax: true,
  legalComments: 'inline',
  logLevel: 'warning',
})
await Promise.all(Object.keys(entryPoints).map(async name => await chmod(`${folder}/${name}.cjs`, 0o755)))
