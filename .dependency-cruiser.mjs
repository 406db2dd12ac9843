// The layers of src/, checked by `npm run layers`. docs/architecture.md says what each is for.

/**
 * From the bottom up. Files of a layer import their own layer and those of the floors below it; layers that share a floor
 * never import each other. `upTo`: nothing above that layer, though it is below.
 */
const FLOORS = [
  [{ name: 'core', path: 'core/' }],
  [
    {
      name: 'ports',
      path: 'host/(command|executor|files|clock|locks|looks|host|byte-channel|process-id|own-path)\\.ts$',
    },
  ],
  [{ name: 'flow', path: 'flow/' }],
  [{ name: 'adapters', path: 'host/' }],
  [
    { name: 'iscsi', path: 'iscsi/' },
    { name: 'multipath', path: 'multipath/' },
    { name: 'block', path: 'block/' },
    { name: 'xenstore', path: 'xenstore/' },
  ],
  [{ name: 'lun: request', path: 'lun/request\\.ts$' }],
  [{ name: 'lun: journal', path: 'lun/journal/' }],
  [{ name: 'lun: context', path: 'lun/context\\.ts$' }],
  [{ name: 'lun: locks', path: 'lun/locks\\.ts$' }],
  [{ name: 'lun: operation', path: 'lun/operation\\.ts$' }],
  [{ name: 'lun: volume', path: 'lun/volume/' }],
  [
    { name: 'lun: detaching', path: 'lun/detaching/' },
    { name: 'lun: listing', path: 'lun/listing/' },
    { name: 'lun: resize', path: 'lun/resize\\.ts$' },
  ],
  [{ name: 'lun: detach', path: 'lun/detach\\.ts$' }],
  [
    { name: 'lun: attaching', path: 'lun/attaching/' },
    { name: 'lun: reconciling', path: 'lun/reconciling/' },
    { name: 'lun: release-owner', path: 'lun/release-owner\\.ts$' },
  ],
  [{ name: 'lun: verbs', path: 'lun/(attach|verify|list|release-expired|reconcile)\\.ts$' }],
  [{ name: 'lun: verbs made of verbs', path: 'lun/(complete-paths|prewarm|wait-for-expiry)\\.ts$' }],
  [
    { name: 'doctor', path: 'doctor/', upTo: 'lun: journal' },
    { name: 'testing', path: 'testing/', upTo: 'xenstore' },
  ],
  [{ name: 'hotplug', path: 'hotplug/' }],
  [{ name: 'cli', path: 'cli/' }],
  [{ name: 'index', path: 'index\\.ts$' }],
]

/** What has one place each: an import of it from anywhere else in src/ is refused. */
const PLACES = [
  { name: 'execa', to: '^execa$', from: ['host/execa\\.ts$'] },
  { name: 'debug', to: '^debug$', from: ['host/logged\\.ts$'] },
  { name: 'p-queue', to: '^p-queue$', from: ['flow/turns\\.ts$'] },
  { name: 'p-retry', to: '^p-retry$', from: ['flow/retry\\.ts$'] },
  { name: 'commander', to: '^commander$', from: ['cli/program\\.ts$'] },
  {
    name: 'child_process: use execa',
    to: '^(node:)?child_process$',
    from: ['hotplug/process/', 'cli/main\\.ts$'],
  },
  {
    name: 'the machine is reached through the ports',
    to: '^(node:)?[a-z_/]+$',
    isCore: true,
    from: [
      'host/',
      'hotplug/main\\.ts$',
      'hotplug/process/',
      'cli/main\\.ts$',
      'testing/dom0/multipathd-connection\\.ts$',
    ],
  },
  {
    name: 'use the port, not its adapter',
    to: '^src/host/(execa|flock|logged|node-[a-z]+|multipathd-socket|xenstore-[a-z]+)\\.ts$',
    from: ['host/', 'hotplug/main\\.ts$', 'hotplug/process/', 'cli/main\\.ts$', 'testing/', 'index\\.ts$'],
  },
  {
    name: 'the host is chosen where an operation begins',
    to: '^src/host/local\\.ts$',
    from: [
      'lun/[a-z-]+\\.ts$',
      'xenstore/wait-for-backend\\.ts$',
      'doctor/doctor\\.ts$',
      'hotplug/',
      'cli/main\\.ts$',
      'index\\.ts$',
    ],
  },
]

const src = path => `^src/${path}`
const layers = FLOORS.flat()
const refusal = (name, from, to) => ({ name, severity: 'error', from, to })
// A path that fits several layers belongs to the first, as `host/` does.
const pathOf = layer => {
  const before = layers.slice(0, layers.indexOf(layer)).filter(({ path }) => path.startsWith(layer.path))
  return { path: src(layer.path), ...(before.length > 0 && { pathNot: before.map(({ path }) => src(path)) }) }
}

const upwards = FLOORS.flatMap((floor, n) =>
  floor.map(layer => {
    const last = FLOORS.findIndex(others => others.some(({ name }) => name === layer.upTo))
    const above = FLOORS.slice(last < 0 ? n : last + 1)
      .flat()
      .filter(other => other !== layer)
    return above.map(other => refusal(`${layer.name} imports nothing of ${other.name}`, pathOf(layer), pathOf(other)))
  })
)

const places = PLACES.map(({ name, to, isCore = false, from }) =>
  refusal(
    name,
    { path: '^src/', ...(from.length > 0 && { pathNot: from.map(src) }) },
    isCore ? { dependencyTypes: ['core'] } : { path: `(${to})|(^node_modules/${to.slice(1, -1)}/)` }
  )
)

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    ...upwards.flat(),
    ...places,
    refusal('a parser is pure', { path: '^src/.*\\.(parse|decode)\\.ts$' }, { path: '^src/(host|flow)/' }),
    refusal('no circle', {}, { circular: true }),
    refusal('every file has its layer', { path: '^src/', pathNot: layers.map(({ path }) => src(path)) }, {}),
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { extensions: ['.ts', '.mjs', '.js'] },
  },
}
