import { describe, expect, test } from 'vitest'
import { blockLauncher, commandLauncher } from '../../src/cli/install/launcher.ts'
import { Interrupted } from '../../src/cli/io.ts'
import { attach, createDom0, startGuest } from '../lun/helpers.ts'
import { cli, createInstallHost, type InstallHost, json, self, XEN_SCRIPT } from './helpers.ts'

const ISCSI = '/etc/xen/scripts/block-iscsi'
const SCRIPT = '/etc/xen/scripts/block-xen-lun'
const PLACED: readonly (readonly [path: string, mode: number])[] = [
  ['/usr/local/lib/xen-lun/block-xen-lun.cjs', 0o644],
  ['/usr/local/lib/xen-lun/xen-lun.cjs', 0o644],
  [SCRIPT, 0o755],
  ['/usr/local/sbin/xen-lun', 0o755],
  ['/etc/systemd/system/xen-lun-reconcile.service', 0o644],
  ['/etc/systemd/system/xen-lun-reconcile.timer', 0o644],
  ['/etc/logrotate.d/xen-lun', 0o644],
]
const paths = PLACED.map(([path]) => path)
const SNAPSHOT = '/usr/local/lib/xen-lun/block-xen-lun.blob'
const all = (outcome: string, more: readonly string[] = []): readonly unknown[] =>
  [...paths, ...more].map(path => ({ path, outcome }))
const ENABLED = [
  'systemctl daemon-reload',
  'systemctl enable xen-lun-reconcile.service',
  'systemctl enable --now xen-lun-reconcile.timer',
]
const DISABLED = [
  'systemctl disable --now xen-lun-reconcile.timer xen-lun-reconcile.service',
  'systemctl daemon-reload',
]
const DIVERT = `dpkg-divert --quiet --local --rename --divert ${ISCSI}.xen`

describe('install-script', () => {
  test('places every file with its mode, enables the units, and says so', async () => {
    const { host, files, calls } = createInstallHost()
    const { exitCode, stdout, stderr } = await cli(host, ['install-script'])
    expect([exitCode, stderr]).toEqual([0, ''])
    expect(stdout.split('\n')).toEqual([
      ...[...paths, SNAPSHOT].map(path => `placed  ${path}`),
      ...ENABLED.map(call => `ran     ${call}`),
      '',
    ])
    expect(PLACED.map(([path]) => [path, files.modes.get(path)])).toEqual(PLACED)
    expect(files.contents.get(SCRIPT)).toBe(
      blockLauncher({
        node: '/usr/bin/node',
        bundle: '/usr/local/lib/xen-lun/block-xen-lun.cjs',
        snapshot: SNAPSHOT,
      })
    )
    expect(files.contents.get('/usr/local/sbin/xen-lun')).toBe(
      commandLauncher({ node: '/usr/bin/node', bundle: '/usr/local/lib/xen-lun/xen-lun.cjs' })
    )
    expect(files.contents.get('/usr/local/lib/xen-lun/xen-lun.cjs')).toBe(files.contents.get('/src/xen-lun.cjs'))
    expect(calls.filter(call => call.startsWith('systemctl'))).toEqual(ENABLED)
    expect(files.contents.get(ISCSI)).toBe(XEN_SCRIPT)
  })

  test('changes nothing the second time, and updates what is old', async () => {
    const { host, files, tree } = createInstallHost()
    expect(await json(host, ['install-script'])).toEqual({
      files: all('placed', [SNAPSHOT]),
      commands: ENABLED,
      notes: [],
    })
    const before = tree()
    expect(await json(host, ['install-script'])).toEqual({
      files: [...all('unchanged'), { path: SNAPSHOT, outcome: 'updated' }],
      commands: ENABLED,
      notes: [],
    })
    expect(tree()).toEqual(before)
    files.modes.set(SCRIPT, 0o644)
    files.contents.set('/usr/local/sbin/xen-lun', '#!/bin/sh\n# xen-lun command launcher\nexec old\n')
    const { stdout } = await cli(host, ['install-script'])
    expect(stdout.match(/^updated .*$/gm)).toEqual([
      `updated    ${SCRIPT}`,
      'updated    /usr/local/sbin/xen-lun',
      `updated    ${SNAPSHOT}`,
    ])
    expect(tree()).toEqual(before)
  })

  test('places everything below a prefix, of which the files know nothing, and enables nothing', async () => {
    const { host, files, calls } = createInstallHost()
    expect(await json(host, ['install-script', '--prefix', '/stage/'])).toEqual({
      files: paths.map(path => ({ path: `/stage${path}`, outcome: 'placed' })),
      commands: [],
      notes: [
        'the units are not enabled: they are below a prefix',
        expect.stringMatching(/^no startup snapshot, .* there$/),
      ],
    })
    expect(calls).toEqual([])
    expect([...files.contents.values()].filter(text => text.includes('/stage'))).toEqual([])
    expect(files.contents.has(SCRIPT)).toBe(false)
  })

  test('enables nothing where systemd does not run', async () => {
    const { host, files, calls } = createInstallHost()
    files.directories.delete('/run/systemd/system')
    const { stdout } = await cli(host, ['install-script'])
    expect(stdout).toContain('note    the units are not enabled: systemd does not run\n')
    expect(calls.filter(call => call.startsWith('systemctl'))).toEqual([])
  })

  test.each([
    ['/etc/xensource-inventory', {}],
    ['/opt/xensource', { '/opt/xensource/bin/x': '' }],
  ])('refuses a host of xapi (%s), unless forced', async (path, more) => {
    const { host, tree, calls } = createInstallHost({ files: { '/etc/xensource-inventory': '', ...more } })
    const before = tree()
    expect(await json(host, ['install-script'])).toMatchObject({ code: 'XAPI_HOST' })
    expect((await cli(host, ['install-script'])).stderr).toMatch(/^xen-lun: XAPI_HOST: .*\n.*--force-xapi/)
    expect([tree(), calls]).toEqual([before, []])
    expect(path).toMatch(/xensource/)
    expect((await cli(host, ['install-script', '--force-xapi'])).exitCode).toBe(0)
  })

  test.each(paths)('never touches a file of somebody else at %s', async path => {
    const { host, tree, calls } = createInstallHost({ files: { [path]: '#!/bin/sh\necho mine\n' } })
    const before = tree()
    for (const command of ['install-script', 'uninstall-script']) {
      expect(await json(host, [command])).toMatchObject({ code: 'FOREIGN_FILE', details: { path } })
      expect(tree()).toEqual(before)
    }
    expect(calls.filter(call => !call.includes('--listpackage'))).toEqual([])
  })

  test('takes a folder or a dangling link at a place of ours for foreign', async () => {
    const folder = createInstallHost({ files: { [`${SCRIPT}/x`]: '' } })
    expect(await json(folder.host, ['install-script'])).toMatchObject({ details: { reason: 'is no file' } })
    const link = createInstallHost({ links: { [SCRIPT]: '/nowhere' } })
    const reason = 'is a link that leads nowhere'
    expect(await json(link.host, ['install-script'])).toMatchObject({ details: { path: SCRIPT, reason } })
  })

  test('needs both bundles beside it', async () => {
    for (const path of ['/src/block-xen-lun.cjs', '/src/xen-lun.cjs']) {
      const { host, files, tree } = createInstallHost({ files: { [path]: 'something else' } })
      expect(await json(host, ['install-script'])).toMatchObject({ code: 'BUNDLE_MISSING', details: { path } })
      files.contents.delete(path)
      const before = tree()
      expect(await json(host, ['install-script'])).toMatchObject({ code: 'BUNDLE_MISSING', details: { path } })
      expect(tree()).toEqual(before)
    }
  })

  test('that fails half-way says what is done, and is mended by running it again', async () => {
    const { host, files, tree } = createInstallHost()
    const replace: typeof files.replace = async (path, ...rest) => {
      if (path.endsWith('.timer')) throw Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' })
      await files.replace(path, ...rest)
    }
    const full = { ...host, files: { ...files, replace } }
    expect(await json(full, ['install-script', '--divert-block-iscsi'])).toMatchObject({
      code: 'INSTALL_INCOMPLETE',
      details: {
        done: paths.slice(0, 5).map(path => `write ${path}`),
        failed: { step: `write ${paths[5]}`, message: 'ENOSPC: no space left' },
      },
    })
    expect((await cli(host, ['install-script'])).exitCode).toBe(0)
    const straight = createInstallHost()
    await cli(straight.host, ['install-script'])
    expect(tree()).toEqual(straight.tree())
  })
})

test.each(['install-script', 'uninstall-script'])('%s that is ended by a signal has touched nothing', async command => {
  const { host, tree } = createInstallHost()
  const prefix = ['--prefix', '/stage'] // where no command is run that would notice
  if (command === 'uninstall-script') await cli(host, ['install-script', ...prefix])
  const before = tree()
  const signal = AbortSignal.abort(new Interrupted('SIGTERM'))
  expect(await cli(host, [command, ...prefix], { signal })).toMatchObject({ exitCode: 143, stdout: '' })
  expect(tree()).toEqual(before)
})

test('whoever may not write is told to be root, and nothing is half done', async () => {
  const { host, files } = createInstallHost()
  const refused = Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' })
  const replace: typeof files.replace = async () => await Promise.reject(refused)
  const run = await cli({ ...host, files: { ...files, replace } }, ['install-script'])
  expect(run).toMatchObject({
    exitCode: 1,
    stderr: `xen-lun: EACCES: ${refused.message}\nxen-lun: hint: run it as root\n`,
  })
})

describe('the startup snapshot', () => {
  const BARE =
    'env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C /usr/bin/node --no-global-search-paths --snapshot-blob'
  const DRAFT = '/usr/local/lib/xen-lun/.block-xen-lun.blob.draft'
  type Exec = InstallHost['host']['executor']['exec']

  const withNode = ({ host }: InstallHost, exec: Exec): InstallHost['host'] => ({
    ...host,
    executor: {
      exec: async (...call) => (call[0].file === 'env' ? await exec(...call) : await host.executor.exec(...call)),
    },
  })

  test('is made of the bundle as the launcher starts it, and proven before it takes its place', async () => {
    const { host, files, calls } = createInstallHost()
    await cli(host, ['install-script'])
    expect(calls.filter(call => call.startsWith('env'))).toEqual([
      `${BARE} ${DRAFT} --build-snapshot /usr/local/lib/xen-lun/block-xen-lun.cjs`,
      `${BARE} ${DRAFT} serve`,
    ])
    expect(files.contents.get(SNAPSHOT)).toBe(`snapshot of ${files.contents.get('/src/block-xen-lun.cjs')}`)
    expect([files.modes.get(SNAPSHOT), files.contents.has(DRAFT)]).toEqual([0o644, false])
  })

  test.each([
    ['node cannot make it', 0, { exitCode: 9, stdout: '', stderr: 'bad option\n' }],
    ['it does not start', 1, { exitCode: 14, stdout: '', stderr: '' }],
    ['it does something', 1, { exitCode: 0, stdout: '', stderr: '' }],
    ['it fails before the script runs', 1, { exitCode: 1, stdout: '', stderr: 'TypeError: x\n' }],
    ['it gets no words', 1, { exitCode: 1, stdout: '', stderr: 'block-xen-lun: argument: "" is none\n' }],
    [
      'it says too much',
      1,
      { exitCode: 1, stdout: '', stderr: 'Warning: x\nblock-xen-lun: argument: "serve" is none\n' },
    ],
  ])('is left out, and an old one removed, with a note and no error: %s', async (_, at, answer) => {
    const place = createInstallHost()
    await cli(place.host, ['install-script'])
    let calls = 0
    const broken = withNode(place, async (...call) => (calls++ < at ? await place.host.executor.exec(...call) : answer))
    for (const files of [[...all('unchanged'), { path: SNAPSHOT, outcome: 'removed' }], all('unchanged')]) {
      calls = 0
      expect(await json(broken, ['install-script'])).toEqual({
        files,
        commands: ENABLED,
        notes: [expect.stringMatching(new RegExp(`^no startup snapshot, .*: exit status ${answer.exitCode}$`))],
      })
      expect([place.files.contents.has(SNAPSHOT), place.files.contents.has(DRAFT)]).toEqual([false, false])
    }
  })

  test('never stays beside a bundle that it was not made of', async () => {
    const place = createInstallHost()
    await cli(place.host, ['install-script'])
    place.files.contents.set('/src/block-xen-lun.cjs', '#!/usr/bin/env node\n// xen-lun bundle\nnewer()\n')
    const seen: boolean[] = []
    const files = {
      ...place.files,
      replace: async (...args: Parameters<typeof place.files.replace>) => {
        seen.push(place.files.contents.has(SNAPSHOT))
        await place.files.replace(...args)
      },
    }
    await cli({ ...place.host, files }, ['install-script'])
    expect([seen, place.files.contents.get(SNAPSHOT)]).toEqual([[false], expect.stringContaining('newer()')])
  })

  test('is made below a prefix with a node that is named and here', async () => {
    const { host, files } = createInstallHost({ files: { '/opt/node': '' } })
    files.modes.set('/opt/node', 0o755)
    await cli(host, ['install-script', '--prefix', '/stage', '--node', '/opt/node'])
    expect(files.contents.get(`/stage${SNAPSHOT}`)).toMatch(/^snapshot of /)
  })

  test('that a crash left half made goes, by either command', async () => {
    for (const command of ['install-script', 'uninstall-script']) {
      const { host, files } = createInstallHost({ files: { [DRAFT]: 'half' } })
      expect((await cli(host, [command])).exitCode).toBe(0)
      expect(files.contents.has(DRAFT)).toBe(false)
    }
  })

  test('takes the place of no folder', async () => {
    const { host, tree } = createInstallHost({ files: { [`${SNAPSHOT}/x`]: '' } })
    const before = tree()
    for (const command of ['install-script', 'uninstall-script'])
      expect(await json(host, [command])).toMatchObject({ code: 'FOREIGN_FILE', details: { path: SNAPSHOT } })
    expect(tree()).toEqual(before)
  })
})

describe('the node that guests depend on', () => {
  test.each(['/home/a/.nvm/bin/node', '/root/bin/node', '/tmp/node', '/var/tmp/node', '/srv/admin/node'])(
    'is not one that may go: %s',
    async nodePath => {
      const { host, tree } = createInstallHost()
      const before = tree()
      const run = await cli(host, ['install-script'], { self: { ...self, nodePath, home: '/srv/admin' } })
      expect(run.exitCode).toBe(2)
      expect(run.stderr).toMatch(/^xen-lun: INVALID_INPUT: node: .* is below .*--node\n$/)
      expect(tree()).toEqual(before)
    }
  )

  test.each([
    ['v20.19.0', 0o755, undefined],
    ['v22.1.0', 0o755, undefined],
    ['v20.18.3', 0o755, 'says it is v20.18.3; it has to be 20.19 or newer'],
    ['', 0o755, 'says it is nothing; it has to be 20.19 or newer'],
    ['v20.19.0', 0o644, 'is no executable file'],
  ])('may be named, if it is new enough: %s, mode %o', async (version, mode, reason) => {
    const node = '/home/a/node'
    const { host, files } = createInstallHost({ files: { [node]: '' } })
    files.modes.set(node, mode)
    const exec: typeof host.executor.exec = async (command, options) =>
      command.file === node
        ? { exitCode: 0, stdout: `${version}\n`, stderr: '' }
        : await host.executor.exec(command, options)
    const answer = await json({ ...host, executor: { exec } }, ['install-script', '--node', node])
    if (reason === undefined) expect(files.contents.get(SCRIPT)).toContain(`\nnode='${node}'\n`)
    else expect(answer).toMatchObject({ code: 'INVALID_INPUT', details: { field: 'node', reason } })
  })

  test.each(['node', '/opt/a=b/node', '/opt/a\nb/node'])(
    'is an absolute path that env takes for one: %j',
    async node => {
      expect(await json(createInstallHost().host, ['install-script', '--node', node])).toMatchObject({
        details: { field: 'node', reason: 'is not an absolute path of plain characters' },
      })
    }
  )

  test('below a prefix is that of another system, and is not run', async () => {
    const { host, files, calls } = createInstallHost()
    await cli(host, ['install-script', '--prefix', '/stage', '--node', '/usr/bin/node22'])
    expect(files.contents.get(`/stage${SCRIPT}`)).toContain("\nnode='/usr/bin/node22'\n")
    expect(calls).toEqual([])
  })
})

describe('uninstall-script', () => {
  test.each([[[]], [['--divert-block-iscsi']], [['--prefix', '/stage']]])(
    'leaves the tree as it was before install-script %j, and may be repeated',
    async args => {
      const { host, tree, files, diversion } = createInstallHost()
      const [before, dpkg] = [tree(), { ...diversion }]
      expect((await cli(host, ['install-script', ...args])).exitCode).toBe(0)
      expect(tree()).not.toEqual(before)
      const prefix = args.includes('--prefix') ? args : []
      for (let n = 0; n < 2; n++) {
        expect((await cli(host, ['uninstall-script', ...prefix])).exitCode).toBe(0)
        expect([tree(), diversion]).toEqual([before, dpkg])
      }
      expect([...files.directories].filter(path => path.endsWith('/xen-lun'))).toEqual([])
    }
  )

  test('disables the units before they go, and says what was removed', async () => {
    const { host, calls } = createInstallHost()
    await cli(host, ['install-script'])
    calls.length = 0
    const { stdout } = await cli(host, ['uninstall-script'])
    expect(stdout.split('\n')).toEqual([
      ...[...paths, SNAPSHOT].map(path => `removed  ${path}`),
      ...DISABLED.map(call => `ran      ${call}`),
      '',
    ])
    expect(calls.filter(call => call.startsWith('systemctl'))).toEqual(DISABLED)
    expect(await json(host, ['uninstall-script'])).toEqual({
      files: all('absent', [SNAPSHOT]),
      commands: [],
      notes: [],
    })
  })

  test.each([[[]], [['--prefix', '/stage']]])(
    'takes the folders of notes along, %j, but no note, and says that some stay',
    async prefix => {
      const root = prefix[1] ?? ''
      const { host, files } = createInstallHost()
      const folders = ['', '/records', '/discoveries'].map(name => `${root}/var/lib/xen-lun${name}`)
      const note = `${root}/var/lib/xen-lun/records/iqn.2001-05.com.example:vm1.json`
      for (const folder of folders) files.directories.add(folder)
      files.contents.set(note, '{}')
      const [said] = ((await json(host, ['uninstall-script', ...prefix])) as { notes: readonly string[] }).notes
      expect(said).toContain(`1 notes stay in ${root}/var/lib/xen-lun, with secrets`)
      expect(files.contents.has(note)).toBe(true)
      files.contents.delete(note)
      files.directories.add(folders[1] ?? '')
      expect(await json(host, ['uninstall-script', ...prefix])).toMatchObject({ notes: [] })
      expect(folders.filter(folder => files.directories.has(folder))).toEqual([])
    }
  )

  test('removes no folder of notes through a link that leads out of the prefix', async () => {
    const { host, files } = createInstallHost()
    files.directories.add('/srv/else/records')
    files.directories.add('/stage')
    files.links.set('/stage/var/lib/xen-lun', '/srv/else')
    const refused = await json(host, ['uninstall-script', '--prefix', '/stage'])
    expect(refused).toMatchObject({ code: 'FOREIGN_FILE', details: { path: '/stage/var/lib/xen-lun' } })
    expect(files.directories.has('/srv/else/records')).toBe(true)
  })

  test('says how many guests will miss it', async () => {
    const dom0 = createDom0()
    await attach(dom0, 1, dom0, 'backup')
    const kept = expect.stringContaining('1 notes stay')
    expect(await json(dom0.host, ['uninstall-script'])).toMatchObject({ notes: [kept] })
    await startGuest(dom0)
    expect((await cli(dom0.host, ['uninstall-script'])).stdout).toContain('note    LUNs that guests have now: 1; ')
  })
})

describe('--divert-block-iscsi', () => {
  test("moves Xen's script away and puts ours in its place; once taken it is kept up to date", async () => {
    const { host, files, calls } = createInstallHost()
    expect(await json(host, ['install-script', '--divert-block-iscsi'])).toEqual({
      files: all('placed', [ISCSI, SNAPSHOT]),
      commands: [`${DIVERT} --add ${ISCSI}`, ...ENABLED],
      notes: [],
    })
    expect(files.contents.get(ISCSI)).toBe(files.contents.get(SCRIPT))
    expect([files.modes.get(ISCSI), files.contents.get(`${ISCSI}.xen`)]).toEqual([0o755, XEN_SCRIPT])
    files.contents.set(ISCSI, '#!/bin/sh\n# xen-lun block script launcher\nold\n')
    calls.length = 0
    expect(await json(host, ['install-script'])).toEqual({
      files: [...all('unchanged'), { path: ISCSI, outcome: 'updated' }, { path: SNAPSHOT, outcome: 'updated' }],
      commands: ENABLED,
      notes: [],
    })
    expect(calls.filter(call => call.includes('--add'))).toEqual([])
  })

  test('is refused before anything is touched where there is no dpkg', async () => {
    const { host, files, tree, calls } = createInstallHost()
    files.contents.delete('/var/lib/dpkg/diversions')
    const before = tree()
    expect(await json(host, ['install-script', '--divert-block-iscsi'])).toMatchObject({
      code: 'COMMAND_NOT_FOUND',
      details: { file: 'dpkg-divert' },
    })
    expect([tree(), calls]).toEqual([before, []])
  })

  test.each([
    ['another package', { by: 'other', to: `${ISCSI}.xen` }],
    ['an administrator, to another place', { by: 'LOCAL', to: `${ISCSI}.mine` }],
  ])('is refused where %s has diverted it', async (_, state) => {
    const { host, tree, diversion } = createInstallHost()
    Object.assign(diversion, state)
    const before = tree()
    expect(await json(host, ['install-script', '--divert-block-iscsi'])).toMatchObject({
      code: 'FOREIGN_FILE',
      details: { path: ISCSI },
    })
    expect(tree()).toEqual(before)
    expect((await cli(host, ['install-script'])).exitCode).toBe(0)
    expect((await cli(host, ['uninstall-script'])).exitCode).toBe(0)
    expect([tree(), diversion]).toEqual([before, state])
  })

  test('is refused by dpkg-divert before anything is touched', async () => {
    const { host, tree } = createInstallHost({ files: { [`${ISCSI}.xen`]: 'somebody else' } })
    const before = tree()
    expect(await json(host, ['install-script', '--divert-block-iscsi'])).toMatchObject({
      code: 'COMMAND_FAILED',
      details: { exitCode: 2, stderr: 'dpkg-divert: error: it clashes' },
    })
    expect(tree()).toEqual(before)
  })

  test('never takes a file that somebody has put in the place of ours', async () => {
    const { host, files, tree } = createInstallHost()
    await cli(host, ['install-script', '--divert-block-iscsi'])
    files.contents.set(ISCSI, 'mine')
    const before = tree()
    for (const command of ['install-script', 'uninstall-script']) {
      expect(await json(host, [command])).toMatchObject({ code: 'FOREIGN_FILE', details: { path: ISCSI } })
    }
    expect(tree()).toEqual(before)
  })

  test('does not take ours for that of Xen where somebody has removed the diversion', async () => {
    const { host, files, diversion } = createInstallHost()
    await cli(host, ['install-script', '--divert-block-iscsi'])
    Object.assign(diversion, { by: '', to: ISCSI })
    expect((await cli(host, ['install-script', '--divert-block-iscsi'])).exitCode).toBe(0)
    expect(files.contents.get(ISCSI)).toBe(files.contents.get(SCRIPT))
    expect(files.contents.get(`${ISCSI}.xen`)).toBe(XEN_SCRIPT)
    expect(diversion.by).toBe('LOCAL')
  })

  test('works below a prefix that has a dpkg of its own', async () => {
    const { host, calls } = createInstallHost({ files: { '/image/var/lib/dpkg/diversions': '' } })
    await cli(host, ['install-script', '--prefix', '/image', '--divert-block-iscsi'])
    expect(calls.every(call => call.startsWith('dpkg-divert --root /image '))).toBe(true)
    expect(calls.at(-1)).toMatch(/--add \/etc\/xen\/scripts\/block-iscsi$/)
  })
})

describe('a link below a prefix', () => {
  const above = (path: string): readonly string[] =>
    path.split('/').flatMap((_, n, names) => (n === 0 ? [] : [names.slice(0, n + 1).join('/')]))
  const places = [...new Set([...paths, SNAPSHOT].flatMap(above))]
  const targets = [
    ['out of it', '/outside', { '/outside/x': '' }, /^is a link that leads out of \/stage, to \/outside$/],
    // Its name begins like that of the prefix.
    ['beside it', '/stage2', { '/stage2/x': '' }, /^is a link that leads out of \/stage, to \/stage2$/],
    ['nowhere', '/outside', {}, /^is a link that leads nowhere$/],
  ] as const

  test.each(targets)(
    'that leads %s is refused at every place before anything is touched',
    async (_, to, there, reason) => {
      for (const place of places) {
        const path = `/stage${place}`
        const { host, tree, calls } = createInstallHost({ files: { '/stage/x': '', ...there }, links: { [path]: to } })
        const before = tree()
        for (const command of ['install-script', 'uninstall-script']) {
          expect(await json(host, [command, '--prefix', '/stage'])).toMatchObject({
            code: 'FOREIGN_FILE',
            details: { path, reason: expect.stringMatching(reason) },
          })
          expect([tree(), calls]).toEqual([before, []])
        }
      }
    }
  )

  test('is followed inside it, also where the prefix is a link itself', async () => {
    const links = { '/image': '/stage', '/stage/usr/local': '/stage/opt/local' }
    const { host, files } = createInstallHost({ files: { '/stage/opt/local/x': '' }, links })
    expect((await cli(host, ['install-script', '--prefix', '/image'])).stderr).toBe('')
    expect(files.contents.has('/stage/opt/local/sbin/xen-lun')).toBe(true)
    expect((await cli(host, ['uninstall-script', '--prefix', '/image'])).stderr).toBe('')
    expect(files.contents.has('/stage/opt/local/sbin/xen-lun')).toBe(false)
  })

  test.each([ISCSI, '/var/lib/dpkg', '/var/lib/dpkg/diversions'])(
    'that leads out at %s is refused where block-iscsi is taken or given back, and nowhere else',
    async place => {
      const path = `/stage${place}`
      const out = { '/outside/diversions': '', '/outside/x': '' }
      const { host, files, tree, diversion } = createInstallHost({
        files: { '/stage/x': '', '/stage/var/lib/dpkg/status': '', ...out },
        links: { [path]: '/outside' },
      })
      expect((await cli(host, ['install-script', '--prefix', '/stage'])).stderr).toBe('')
      expect((await cli(host, ['uninstall-script', '--prefix', '/stage'])).stderr).toBe('')
      const before = tree()
      const refused = { code: 'FOREIGN_FILE', details: { path } }
      expect(await json(host, ['install-script', '--prefix', '/stage', '--divert-block-iscsi'])).toMatchObject(refused)
      Object.assign(diversion, { by: 'LOCAL', to: `${ISCSI}.xen` })
      for (const command of ['install-script', 'uninstall-script'])
        expect(await json(host, [command, '--prefix', '/stage'])).toMatchObject(refused)
      expect([tree(), files.links.get(path)]).toEqual([before, '/outside'])
    }
  )
})

test.each(['stage', '../x', ''])('a prefix is an absolute path: %j is not', async prefix => {
  for (const command of ['install-script', 'uninstall-script']) {
    const { exitCode, stderr } = await cli(createInstallHost().host, [command, '--prefix', prefix])
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining('INVALID_INPUT: prefix')])
  }
})
