import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { blockLauncher, NODE_FLAGS } from '../../src/cli/install/launcher.ts'
import { LATER_ACTIONS } from '../../src/hotplug/action.ts'
import { SERVE } from '../../src/hotplug/room.ts'
import { createXenstoreModel } from '../../src/testing/dom0/xenstore.ts'
import { createXenstored } from '../../src/testing/dom0/xenstored.ts'
import { startDaemon, startServer } from '../xenstore/daemon.ts'

vi.setConfig({ testTimeout: 60_000 })

const root = new URL('../../', import.meta.url).pathname
const BACKEND = '/local/domain/0/backend/vbd/1/51712'
const NAME = 'iqn.2001-05.com.example:vm1'
const run = promisify(execFile)
let folder = ''
let bundle = ''
let making: Promise<string> | undefined

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xen-lun-'))
  bundle = join(folder, 'block-xen-lun.cjs')
  await run(process.execPath, [join(root, 'scripts/bundle.mjs'), folder], { cwd: root })
}, 120_000)

afterAll(async () => await rm(folder, { recursive: true, force: true }))

type Environment = Readonly<Record<string, string>>

/** Starts the bundle as a toolstack would, with no more of an environment than is given. */
function start(args: readonly string[], env: Environment) {
  return startNode([bundle, ...args], env)
}

/** The startup snapshot of the bundle, made once. */
async function snapshotMade(): Promise<string> {
  const snapshot = join(folder, 'block-xen-lun.blob')
  making ??= run(process.execPath, [...NODE_FLAGS, '--snapshot-blob', snapshot, '--build-snapshot', bundle]).then(
    () => snapshot
  )
  return await making
}

function startNode(args: readonly string[], env: Environment) {
  const child = spawn(process.execPath, args, { env, cwd: '/' })
  const said = { stdout: '', stderr: '' }
  child.stdout.on('data', (data: Buffer) => (said.stdout += data.toString()))
  child.stderr.on('data', (data: Buffer) => (said.stderr += data.toString()))
  const ended = once(child, 'close').then(([status]: readonly unknown[]) => ({ status, ...said }))
  return { ended, signal: (name: NodeJS.Signals) => child.kill(name) }
}

/** A xenstored with one disk. */
async function startXenstored(params: string) {
  const daemon = await startDaemon()
  daemon.model.write({ [`${BACKEND}/params`]: params, [`${BACKEND}/mode`]: 'w' })
  const read = (key: string): string | undefined => daemon.model.values.get(`${BACKEND}/${key}`)
  return { path: daemon.path, read }
}

/** A xenstored that says everything but what the disk is; `asked` resolves when it should. */
async function startSilentXenstored() {
  const model = createXenstoreModel()
  model.write({ [`${BACKEND}/params`]: NAME })
  const xenstored = createXenstored(model)
  let onAsked: () => void = () => {}
  const asked = new Promise<void>(resolve => {
    onAsked = resolve
  })
  const path = await startServer(socket => {
    const session = xenstored.connect(
      { onBytes: bytes => void socket.write(bytes), onClose: () => socket.destroy() },
      0
    )
    socket.on('data', bytes => {
      if (bytes.includes(`${BACKEND}/params`)) onAsked()
      else session?.receive(bytes)
    })
    socket.on('close', () => session?.close())
  })
  return { path, asked, read: (key: string) => model.values.get(`${BACKEND}/${key}`) }
}

test.each([
  [[], BACKEND],
  [['online'], BACKEND],
  [['add', 'now'], BACKEND],
  [['add'], ''],
  [['add'], 'backend/vbd/1/51712/../2'],
  [['remove'], 'backend/vif/1/0'],
])('%j with XENBUS_PATH %j: exit 1, and one line on the standard error', async (args, backend) => {
  const { status, stdout, stderr } = await start(args, { XENBUS_PATH: backend }).ended
  expect([status, stdout]).toEqual([1, ''])
  expect(stderr).toMatch(/^block-xen-lun: [\x20-\x7e]+\n$/)
})

const HOSTILE = {
  LANG: 'tr_TR.UTF-8',
  LC_ALL: 'tr_TR.UTF-8',
  PATH: '/nonexistent',
  DEBUG: '*',
  FORCE_COLOR: '3',
  HOME: '/nonexistent',
  script: '/etc/xen/scripts/../../tmp/x',
}

test.each([
  ['clean', {}],
  ['hostile', HOSTILE],
])('in a %s environment says in xenstore why it refuses a disk line, and nothing elsewhere', async (_, env) => {
  const { path, read } = await startXenstored(`iqn=${NAME},portal=10.0.1.1,user=planted`)
  const ran = await start(['add'], { ...env, XENBUS_PATH: BACKEND, XENSTORED_PATH: path }).ended
  expect(ran).toEqual({ status: 1, stdout: '', stderr: '' })
  expect(read('hotplug-status')).toBe('error')
  expect(read('hotplug-error')).toMatch(/^target: "user" is refused: the guest can read it; .* \[\d+-[a-z0-9]+\]$/)
  expect(read('physical-device')).toBeUndefined()
})

test('without xenstored says it on the standard error', async () => {
  const env = { XENBUS_PATH: BACKEND, XENSTORED_PATH: join(folder, 'no-socket') }
  const { status, stdout, stderr } = await start(['add'], env).ended
  expect([status, stdout]).toEqual([1, ''])
  expect(stderr).toMatch(/^block-xen-lun: [\x20-\x7e]+\n$/)
})

test('on SIGTERM ends with 1 and says so', async () => {
  const { path, asked, read } = await startSilentXenstored()
  const { ended, signal } = start(['add'], { XENBUS_PATH: BACKEND, XENSTORED_PATH: path })
  await asked
  signal('SIGTERM')
  expect(await ended).toEqual({ status: 1, stdout: '', stderr: '' })
  expect([read('hotplug-status'), read('hotplug-error')]).toEqual([
    'error',
    expect.stringMatching(/^ended by SIGTERM \[/),
  ])
})

test('an error that nobody caught ends it with 1 and is told', async () => {
  const { path, asked, read } = await startSilentXenstored()
  const preload = join(folder, 'preload.cjs')
  await writeFile(preload, `process.once('SIGUSR2', () => { throw new TypeError('nobody caught this') })`)
  const env = { XENBUS_PATH: BACKEND, XENSTORED_PATH: path, NODE_OPTIONS: `--require ${preload}` }
  const { ended, signal } = start(['add'], env)
  await asked
  signal('SIGUSR2')
  expect(await ended).toEqual({ status: 1, stdout: '', stderr: '' })
  expect([read('hotplug-status'), read('hotplug-error')]).toEqual([
    'error',
    expect.stringMatching(/^nobody caught this \[/),
  ])
})

/** Notes each start of node in a file, before it is node. */
async function createNotingNode(name: string) {
  const [node, starts] = [join(folder, `${name}-node`), join(folder, `${name}-starts`)]
  await writeFile(node, `#!/bin/sh\necho "$*" >> '${starts}'\nexec '${process.execPath}' "$@"\n`)
  await chmod(node, 0o755)
  return { node, starts: async () => (await readFile(starts, 'utf8')).trim().split('\n') }
}

test.each(['bundle', 'snapshot'])(
  'launchers that come together are served by one process, and each ends as its own call does: %s',
  async kind => {
    const { node, starts } = await createNotingNode(kind)
    const [launcher, room, none] = [`${kind}-launcher`, `${kind}-room`, 'none'].map(name => join(folder, name)) as [
      string,
      string,
      string,
    ]
    const snapshot = kind === 'snapshot' ? await snapshotMade() : none
    await writeFile(launcher, blockLauncher({ node, bundle, snapshot, room }))
    await chmod(launcher, 0o755)
    const call = async (action: string, devid: number) => {
      const env = { XENBUS_PATH: `/local/domain/0/backend/vbd/30001/${devid}` }
      const child = spawn(launcher, [action], { env, cwd: '/' })
      let said = ''
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (said += data.toString()))
      const [status] = await once(child, 'close')
      return { action, status, said }
    }
    const calls = await Promise.all(
      Array.from({ length: 20 }, async (_, n) => await call(n % 2 === 0 ? 'remove' : 'add', n))
    )
    for (const { action, status, said } of calls) {
      // Nothing is attached for these disks; and there is none of them to be added.
      if (action === 'remove') expect([status, said]).toEqual([0, ''])
      else expect([status, said]).toEqual([1, expect.stringMatching(/^(?:block-xen-lun: [\x20-\x7e]+\n)?$/)])
    }
    const program = kind === 'snapshot' ? `--snapshot-blob ${snapshot}` : bundle
    expect(await starts()).toEqual([expect.stringContaining(`${program} ${SERVE} ${room} `)])
  }
)

// node takes a word with a dash that follows a snapshot for an option of its own.
test.each(LATER_ACTIONS)('from its snapshot it starts %s', async action => {
  const args = [...NODE_FLAGS, '--snapshot-blob', await snapshotMade(), action]
  const ran = await startNode(args, { XENBUS_PATH: 'x' }).ended
  const stderr = 'block-xen-lun: XENBUS_PATH: "x" is not the backend path of a virtual disk\n'
  expect(ran).toEqual({ status: 1, stdout: '', stderr })
})
