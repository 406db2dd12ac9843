import { execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { createNodeClock } from 'xen-lun'
import { blockLauncher } from '../../src/cli/install/launcher.ts'
import { until } from '../../src/flow/until.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 }) // real processes, on a machine that may be busy

const run = promisify(execFile)
const root = new URL('../../', import.meta.url).pathname
let folder = ''
let command = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xen-lun-'))
  await run(process.execPath, [join(root, 'scripts/bundle.mjs'), folder], { cwd: root })
  command = join(folder, 'xen-lun.cjs')
})

afterAll(async () => await rm(folder, { recursive: true, force: true }))

test('the bundle runs alone, and knows its version', async () => {
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { readonly version: string }
  expect(await run(command, ['--version'], { cwd: '/' })).toEqual({ stdout: `${version}\n`, stderr: '' })
})

test('it installs itself and the block script for real, and takes everything away again', async () => {
  const stage = join(folder, 'stage')
  const args = ['--prefix', stage, '--json']
  const { stdout } = await run(command, ['install-script', '--node', process.execPath, ...args])
  const { files } = JSON.parse(stdout) as { readonly files: readonly { readonly path: string }[] }
  expect(files).toHaveLength(8)
  expect((await stat(join(stage, 'etc/xen/scripts/block-xen-lun'))).mode & 0o777).toBe(0o755)
  expect((await stat(join(stage, 'etc/logrotate.d/xen-lun'))).mode & 0o777).toBe(0o644)
  const installed = join(stage, 'usr/local/lib/xen-lun/xen-lun.cjs')
  expect(await readFile(installed)).toEqual(await readFile(command))
  await run(process.execPath, [installed, 'uninstall-script', ...args])
  expect(files.filter(({ path }) => existsSync(path))).toEqual([])
  expect(existsSync(join(stage, 'usr/local/lib/xen-lun'))).toBe(false)
}, 60_000)

test('the block script runs from its snapshot, and from the bundle where the snapshot is damaged', async () => {
  const stage = join(folder, 'with-snapshot')
  await run(command, ['install-script', '--node', process.execPath, '--prefix', stage])
  const snapshot = join(stage, 'usr/local/lib/xen-lun/block-xen-lun.blob')
  const bundle = join(folder, 'other.cjs')
  await writeFile(bundle, 'console.error("from the bundle"); process.exit(1)')
  await writeFile(join(folder, 'launcher'), blockLauncher({ node: process.execPath, bundle, snapshot }), {
    mode: 0o755,
  })
  const start = () =>
    spawnSync(join(folder, 'launcher'), ['add'], {
      env: { XENBUS_PATH: 'backend/vbd/1/../2', NODE_OPTIONS: '--no-such-option' },
      encoding: 'utf8',
    })
  const said = 'block-xen-lun: XENBUS_PATH: "backend/vbd/1/../2" is not the backend path of a virtual disk\n'
  expect(start()).toMatchObject({ status: 1, stdout: '', stderr: said })
  await truncate(snapshot, 100_000)
  const fallen = start()
  expect([fallen.status, fallen.stdout]).toEqual([1, ''])
  expect(fallen.stderr).toMatch(/does not work \(exit status 1[3-9]\d\).*\nfrom the bundle\n$/)
}, 60_000)

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s ends it with exit code %d', async (name, exitCode) => {
  // A node to be asked for its version, which never answers: all that comes before only reads.
  const node = join(folder, `node-${name}`)
  const started = `${node}.started`
  await writeFile(node, `#!/bin/sh\n: > ${started}\nexec sleep 60\n`)
  await chmod(node, 0o755)
  const child = spawn(command, ['install-script', '--force-xapi', '--node', node], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  child.stderr.on('data', (data: Buffer) => {
    said += data.toString()
  })
  const ended = once(child, 'close')
  await until(createNodeClock(), async () => existsSync(started), { awaited: 'the node to start', timeoutMs: 30_000 })
  child.kill(name)
  expect(await ended).toEqual([exitCode, null])
  expect(said).toMatch(new RegExp(`^xen-lun: INTERRUPTED: ended by ${name}`))
})
