// Bundles what runs in dom0, which has no node_modules, into one executable file each: node scripts/bundle.mjs [FOLDER]
import child_process from 'node:child_process'
import { chmod, readFile } from 'node:fs/promises'
import { build } from 'esbuild'

const folder = process.argv[2] ?? 'dist'
const { version } = JSON.parse(await readFile('package.json', 'utf8'))

/**
 * What a startup snapshot must not hold: it has everything that is loaded when it is made, and Node says of these modules
 * that their state may be wrong in a process that starts from it. So child_process is loaded when it is used; and a
 * script that xl calls has no terminal, whatever the one has where the snapshot is made.
 */
const substitutes = {
  child_process: Object.entries(child_process)
    .map(([name, value]) =>
      value.prototype?.constructor === value && /^[A-Z]/.test(name)
        ? `Object.defineProperty(exports, '${name}', { enumerable: true, get: () => require('node:child_process').${name} })`
        : `exports.${name} = (...args) => require('node:child_process').${name}(...args)`
    )
    .join('\n'),
  tty: 'exports.isatty = () => false',
}

const withoutState = {
  name: 'without-state',
  setup: ({ onResolve, onLoad }) => {
    const namespace = 'without-state'
    onResolve({ filter: /^(node:)?(child_process|tty)$/ }, ({ path, namespace: from }) =>
      from === namespace ? { path, external: true } : { path: path.replace('node:', ''), namespace }
    )
    onLoad({ filter: /.*/, namespace }, ({ path }) => ({ contents: substitutes[path], loader: 'js' }))
  },
}

await bundle('src/hotplug/main.ts', 'block-xen-lun.cjs', [withoutState])
await bundle('src/cli/main.ts', 'xen-lun.cjs', [])

async function bundle(entry, name, plugins) {
  const outfile = `${folder}/${name}`
  await build({
    entryPoints: [entry],
    outfile,
    plugins,
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
  await chmod(outfile, 0o755)
}
