import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { blockLauncher, commandLauncher, NODE_FLAGS } from '../../src/cli/install/launcher.ts'

vi.setConfig({ testTimeout: 60_000 }) // real processes, on a machine that may be busy

const VBD = 'backend/vbd/7/51712'
const XEN = {
  XENBUS_PATH: VBD,
  XENBUS_TYPE: 'vbd',
  XENBUS_BASE_PATH: 'backend',
  script: '/etc/xen/scripts/block-xen-lun',
  XENSTORED_RUNDIR: '/run/elsewhere',
}
const HOSTILE = {
  NODE_OPTIONS: '--require /nonexistent/x.js',
  NODE_PATH: '/nonexistent',
  NODE_V8_COVERAGE: '/nonexistent',
  NODE_EXTRA_CA_CERTS: '/nonexistent',
  NODE_DEBUG: 'fs',
  OPENSSL_CONF: '/nonexistent',
  LD_LIBRARY_PATH: '/nonexistent',
  BASH_ENV: '/nonexistent',
  ENV: '/nonexistent',
  HOME: '/nonexistent',
  IFS: 'n',
  PATH: '/nonexistent',
  LC_ALL: 'tr_TR.UTF-8',
  node: '/nonexistent',
  bundle: '/nonexistent',
}

let folder = ''
const at = (name: string): string => join(folder, name)
// Says what it was given, beginning with its arguments.
const FAKE_NODE = '#!/bin/sh\nfor word in "$@"; do echo "argument $word"; done\nenv | sort\n'
const FAKE_WRITE = `#!/bin/sh\nfor word in "$@"; do echo "$word"; done > "\${0%/*}/written"\n`

/** The snapshot is there only where a test puts one. */
const BUNDLE = {
  get bundle(): string {
    return at('bundle.cjs')
  },
  get snapshot(): string {
    return at('block.blob')
  },
  // Nothing can be made there, so each launcher runs the script itself.
  room: '/proc/room',
}

async function program(name: string, text: string, mode = 0o755): Promise<string> {
  await writeFile(at(name), text)
  await chmod(at(name), mode)
  return at(name)
}

interface Ran {
  readonly status: number | null
  readonly lines: readonly string[]
  readonly stderr: string
  readonly written: readonly string[]
}

// bash, before it reads the script, of a language that this machine does not know.
const LOCALE = /^\/bin\/bash: warning: setlocale: .*\n/

/** Runs a launcher as the kernel does, by its first line. */
async function launch(text: string, args: readonly string[], env: Readonly<Record<string, string>>): Promise<Ran> {
  await rm(at('bin/written'), { force: true })
  const launcher = await program('launcher', text)
  const { status, stdout, stderr, error } = spawnSync(launcher, args, {
    env,
    encoding: 'utf8',
  })
  if (error !== undefined) throw error
  const written = await readFile(at('bin/written'), 'utf8').catch(() => '')
  const lines = (said: string): readonly string[] => said.split('\n').filter(line => line !== '')
  return { status, lines: lines(stdout), stderr: stderr.replace(LOCALE, ''), written: lines(written) }
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xen-lun it's "))
  await mkdir(at('bin'))
  await program('bin/xenstore-write', FAKE_WRITE)
  for (const tool of ['env', 'sort']) await symlink(`/usr/bin/${tool}`, at(`bin/${tool}`))
  await program(
    'bundle.cjs',
    'console.log(JSON.stringify([process.argv.slice(2), process.env, process.execArgv]))',
    0o644
  )
})

afterAll(async () => await rm(folder, { recursive: true, force: true }))

describe('the launcher of the block script, with a snapshot', () => {
  // Notes each call in a line; from the snapshot it ends as told, from the bundle with 0.
  const NODE = (end: string): string => `#!/bin/sh
echo "$*, $XENBUS_PATH$NODE_OPTIONS" >> "\${0%/*}/calls"
case "$*" in *--snapshot-blob*) ${end} ;; esac
`
  const FLAGS = NODE_FLAGS.join(' ')
  const fromSnapshot = (): string => `${FLAGS} --snapshot-blob ${at('block.blob')} add, ${VBD}`
  const fromBundle = (): string => `${FLAGS} ${at('bundle.cjs')} add, ${VBD}`

  async function start(end: string): Promise<Ran & { readonly calls: readonly string[] }> {
    const node = await program('node-of-snapshot', NODE(end))
    await rm(at('calls'), { force: true })
    await writeFile(at('block.blob'), '')
    const ran = await launch(blockLauncher({ node, ...BUNDLE }), ['add'], { ...HOSTILE, ...XEN })
    await rm(at('block.blob'))
    return { ...ran, calls: (await readFile(at('calls'), 'utf8')).split('\n').slice(0, -1) }
  }

  test.each([0, 1])('ends as the script does: %d', async status => {
    const ran = await start(`exit ${status}`)
    expect([ran.status, ran.stderr, ran.calls]).toEqual([status, '', [fromSnapshot()]])
  })

  test.each([
    ['that node refuses', 'exit 14', 14],
    ['that crashes it', 'ulimit -c 0; kill -SEGV $$', 139],
    ['that it finds damaged', 'exit 133', 133],
    ['whose flags it does not know', 'exit 9', 9],
  ])('%s, runs the bundle, and says so', async (_, end, status) => {
    const ran = await start(end)
    expect([ran.status, ran.calls]).toEqual([0, [fromSnapshot(), fromBundle()]])
    expect(ran.stderr).toContain(
      `block-xen-lun: ${at('block.blob')} does not work (exit status ${status}); run xen-lun install-script again\n`
    )
  })
})

describe('the launcher of the block script', () => {
  test("gives node Xen's words and nothing else of a hostile environment", async () => {
    const node = await program('node', FAKE_NODE)
    const options = { node, ...BUNDLE, searchPath: at('bin') }
    const { status, lines, stderr } = await launch(blockLauncher(options), ['add', 'a b', ''], { ...HOSTILE, ...XEN })
    expect([status, stderr]).toEqual([0, ''])
    const given = lines.filter(line => line.startsWith('argument'))
    expect(given).toEqual([...NODE_FLAGS, at('bundle.cjs'), 'add', 'a b', ''].map(word => `argument ${word}`))
    expect(lines.filter(line => !line.startsWith('argument') && !/^(?:_|PWD|SHLVL|OLDPWD)=/.test(line))).toEqual(
      ['LC_ALL=C', `PATH=${at('bin')}`, ...Object.entries(XEN).map(([name, value]) => `${name}=${value}`)].toSorted()
    )
  })

  test('starts the real node, whatever NODE_OPTIONS says, and invents no variable', async () => {
    const text = blockLauncher({ node: process.execPath, ...BUNDLE })
    const { status, lines, stderr } = await launch(text, ['remove'], { ...HOSTILE, XENBUS_PATH: VBD })
    expect([status, stderr]).toEqual([0, ''])
    expect(JSON.parse(lines.join(''))).toEqual([
      ['remove'],
      { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', XENBUS_PATH: VBD },
      NODE_FLAGS,
    ])
  })

  test.each([
    ['is not there', undefined],
    ['is not executable', 0o644],
    ['is a folder', 'folder'],
  ] as const)('tells xl by xenstore, in one call, when node %s', async (_, state) => {
    const node = at(`node-${String(state)}`)
    if (state === 'folder') await mkdir(node)
    else if (state !== undefined) await program(`node-${state}`, FAKE_NODE, state)
    const text = blockLauncher({ node, ...BUNDLE, searchPath: at('bin') })
    const said = `${node} is not there or not executable; run xen-lun install-script again`
    for (const path of [VBD, `/local/domain/12/${VBD}`]) {
      expect(await launch(text, ['add'], { ...HOSTILE, ...XEN, XENBUS_PATH: path })).toEqual({
        status: 1,
        lines: [],
        stderr: `block-xen-lun: ${said}\n`,
        written: ['--', `${path}/hotplug-error`, said, `${path}/hotplug-status`, 'error'],
      })
    }
  })

  test('tells it as well when the bundle is not there', async () => {
    const text = blockLauncher({ node: process.execPath, ...BUNDLE, bundle: at('gone.cjs'), searchPath: at('bin') })
    const { status, written } = await launch(text, ['add'], XEN)
    expect([status, written[2]]).toEqual([1, `${at('gone.cjs')} is not there; run xen-lun install-script again`])
  })

  test.each([
    undefined,
    '',
    'backend/vif/7/0',
    'backend/vbd/7',
    'backend/vbd/7/',
    'backend/vbd//51712',
    'backend/vbd/7/51712/x',
    'backend/vbd/7/../../../x',
    'backend/vbd/7/5 1',
    '/backend/vbd/7/51712',
    '/local/domain/x/backend/vbd/7/51712',
    '/local/domain/0/x/backend/vbd/7/51712',
    `x\n${VBD}`,
    `${VBD}\nx`,
  ])('writes nothing to a path that is no vbd: %j', async path => {
    const text = blockLauncher({ node: '/nonexistent/node', ...BUNDLE, searchPath: at('bin') })
    const { status, written } = await launch(text, ['add'], path === undefined ? {} : { XENBUS_PATH: path })
    expect([status, written]).toEqual([1, []])
  })
})

describe('the launcher of the block script, with a process that serves', () => {
  // As node it notes each start. To serve it takes the first call, as the test says; by itself it just ends.
  const SERVER = (serve: string): string => `#!/bin/bash
folder=\${0%/*}
case "$*" in
  *' serve '*)
    echo serve >> "$folder/calls"
    room=\${@: -2:1}
    [ "$(< "$room/server")" = "\${@: -1}" ] || exit 1
    until call=$(cd "$room" && ls -d -- *,* 2> /dev/null | head -n 1) && [ -n "$call" ]; do :; done
    IFS=, read -r action path pid start <<< "$call"
    ${serve}
    ;;
  *) echo "alone \${!#}" >> "$folder/calls" ;;
esac
`
  const TAKE = `exec 5<> "/proc/$pid/fd/3"; rm "$room/$call"; echo taken >&5`

  async function serveOne(serve: string, env: Readonly<Record<string, string>> = {}, patienceS?: number) {
    const [node, room] = [await program('node-that-serves', SERVER(serve)), at('room')]
    await rm(room, { recursive: true, force: true })
    await rm(at('calls'), { force: true })
    const options = { node, ...BUNDLE, room, ...(patienceS !== undefined && { patienceS }) }
    const launcher = await program('launcher', blockLauncher(options))
    const child = spawn(launcher, ['add'], { env: { ...XEN, XENSTORED_RUNDIR: '', ...env } })
    let stderr = ''
    child.stderr.on('data', (data: Buffer) => (stderr += data.toString()))
    const ended = once(child, 'close').then(async ([status]: readonly unknown[]) => ({
      status,
      stderr,
      calls: (await readFile(at('calls'), 'utf8')).trim().split('\n'),
      left: (await readdir(room).catch(() => [])).filter(name => name !== 'server'),
    }))
    return { child, room, ended }
  }

  test.each([0, 1])('prints what it says, and ends as it says: %d', async status => {
    const { ended } = await serveOne(`${TAKE}; echo "say it is so" >&5; echo "exit ${status}" >&5`)
    expect(await ended).toEqual({ status, stderr: 'it is so\n', calls: ['serve'], left: [] })
  })

  test('names the call after the action, the disk, and itself', async () => {
    const { child, ended } = await serveOne(`${TAKE}; echo "say $call" >&5; echo "exit 0" >&5`)
    const { stderr } = await ended
    expect(stderr).toMatch(new RegExp(`^add,${VBD.replaceAll('/', '\\+')},${child.pid},\\d+\n$`))
  })

  test.each([
    ['ends before it has taken the call', 'exit 1'],
    ['dies in the middle of the call', `${TAKE}; kill -KILL $$`],
  ])('runs the script itself when that process %s', async (_, serve) => {
    // Its end is what counts, not the patience of the launcher, which would outlast this test.
    const { ended } = await serveOne(serve, {}, 1000)
    expect(await ended).toEqual({ status: 0, stderr: '', calls: ['serve', 'alone add'], left: [] })
  })

  test('runs the script itself when its call is not taken in time', async () => {
    const { ended } = await serveOne('exec sleep 4', {}, 1)
    expect(await ended).toEqual({ status: 0, stderr: '', calls: ['serve', 'alone add'], left: [] })
  })

  test('passes a signal on, and waits for what is taken back', async () => {
    const wait = 'until [ -e "$room/$call.stop" ]; do :; done'
    const { child, room, ended } = await serveOne(
      `${TAKE}; : > "$room/taken"; ${wait}; rm "$room/$call.stop"; echo "exit 1" >&5`
    )
    await vi.waitUntil(async () => (await readdir(room).catch((): string[] => [])).includes('taken'), {
      timeout: 20_000,
    })
    child.kill('SIGTERM')
    expect(await ended).toEqual({ status: 1, stderr: '', calls: ['serve'], left: ['taken'] })
  })

  test('does not count on a process that has gone, nor on one of an older bundle', async () => {
    for (const [pid, older] of [
      ['2147483647', false],
      [String(process.pid), true],
    ] as const) {
      await mkdir(at('room'), { recursive: true })
      const room = at('room')
      await writeFile(join(room, 'server'), `${pid}\n`)
      if (older) await utimes(join(room, 'server'), 0, 0)
      await rm(at('calls'), { force: true })
      const node = await program('node-that-serves', SERVER(`${TAKE}; echo "exit 0" >&5`))
      const ran = await launch(blockLauncher({ node, ...BUNDLE, room }), ['add'], { ...XEN, XENSTORED_RUNDIR: '' })
      expect([ran.status, await readFile(at('calls'), 'utf8')]).toEqual([0, 'serve\n'])
    }
  })

  test.each([
    ['xenstored is elsewhere', { XENSTORED_PATH: '/run/elsewhere/socket' }],
    ['the script is called from elsewhere', { script: '/etc/xen/scripts/../../tmp/x' }],
  ])('is not asked when %s', async (_, env) => {
    const { ended } = await serveOne('exit 1', env)
    expect(await ended).toMatchObject({ status: 0, calls: ['alone add'], left: [] })
  })
})

test('the launcher of the command starts node without its options, and with all arguments', async () => {
  const text = commandLauncher({ node: process.execPath, bundle: at('bundle.cjs') })
  const env = { NODE_OPTIONS: HOSTILE.NODE_OPTIONS, DEBUG: 'xen-lun:*', PATH: '/usr/bin' }
  const { status, lines, stderr } = await launch(text, ['verify', "it's", '--json'], env)
  expect([status, stderr]).toEqual([0, ''])
  const [args, given, flags] = JSON.parse(lines.join('')) as readonly unknown[]
  expect([args, flags]).toEqual([['verify', "it's", '--json'], NODE_FLAGS])
  expect(given).toMatchObject({ DEBUG: 'xen-lun:*' })
  expect(given).not.toHaveProperty('NODE_OPTIONS')
})
