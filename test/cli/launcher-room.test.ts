import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { blockLauncher } from '../../src/cli/install/launcher.ts'
import type { AskOptions } from '../../src/cli/install/launcher-ask.ts'

vi.setConfig({ testTimeout: 60_000 }) // real processes, on a machine that may be busy

const DOM0 = '/local/domain/0/backend/vbd/7/51712'
const DRIVER = '/local/domain/5/backend/vbd/7/51712'
/** Outlasts each test: whoever waits for it fails. */
const FOR_EVER = 1000
const isRoot = process.getuid?.() === 0

let folder = ''
const at = (name: string): string => join(folder, name)

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xen-lun-'))
  await writeFile(at('bundle.cjs'), '')
  await utimes(at('bundle.cjs'), 1, 1)
  await mkdir(at('room'), { mode: 0o700 })
})

afterEach(async () => await rm(folder, { recursive: true, force: true }))

// As node it notes each start. To serve it takes the first call, as the test says; by itself it just ends.
const NODE = (serve: string): string => `#!/bin/bash
folder=\${0%/*}
ulimit -S -f unlimited
case "$*" in
  *' serve '*)
    echo serve
    room=\${@: -2:1}
    read -r named < "$room/server"
    [ "$named" = "\${@: -1}" ] || exit 1
    until call=$(cd "$room" && ls -d -- *,* 2> /dev/null | head -n 1) && [ -n "$call" ]; do :; done
    IFS=, read -r action path pid start <<< "$call"
    ${serve}
    ;;
  *) echo "alone \${!#}" ;;
esac >> "$folder/calls"
`
const OPEN = 'exec 5<> "/proc/$pid/fd/3"; rm "$room/$call"'
const ANSWER = `${OPEN}; echo taken >&5; echo "exit 0" >&5`

interface Way extends AskOptions {
  readonly serve?: string
  readonly path?: string
  /** Done before the launcher starts, in the process that becomes it. */
  readonly before?: string
}

/** Runs a launcher, and resolves with what it has started: `serve`, `alone add`. */
async function launch({ serve = ANSWER, path = DOM0, before = ':', ...options }: Way = {}): Promise<readonly string[]> {
  const paths = { node: at('node'), bundle: at('bundle.cjs'), snapshot: at('no.blob'), room: at('room') }
  await writeFile(at('node'), NODE(serve))
  await writeFile(
    at('launcher'),
    blockLauncher({ ...paths, patienceS: FOR_EVER, shortPatienceS: FOR_EVER, log: '/dev/null', ...options })
  )
  for (const name of ['node', 'launcher']) await chmod(at(name), 0o755)
  await writeFile(at('calls'), '')
  const child = spawn('/bin/bash', ['-c', `${before}; exec "$0" add`, at('launcher')], { env: { XENBUS_PATH: path } })
  onTestFinished(() => void child.kill('SIGKILL'))
  const [status] = await once(child, 'close')
  const calls = readFileSync(at('calls'), 'utf8').split('\n').slice(0, -1)
  expect([status, readdirSync(at('room')).filter(name => name.includes(','))]).toEqual([0, []])
  return calls
}

/** As proc_pid_stat(5) has it: behind the name, which may hold anything. */
function startOf(pid: number | undefined): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
}

function startSleeper(): { readonly pid: number; readonly name: string } {
  const child = spawn('sleep', ['300'], { stdio: 'ignore' })
  onTestFinished(() => void child.kill('SIGKILL'))
  const pid = child.pid ?? 0
  return { pid, name: `${pid} ${startOf(pid)}` }
}

async function name(text: string | Uint8Array): Promise<void> {
  await writeFile(at('room/server'), text)
}

describe('a launcher starts a process of its own at once, whatever stands where the one that serves is named', () => {
  test.each([
    ['nothing, which nobody is writing', () => ''],
    ['words', () => 'no such process\n'],
    ['what is no text', () => Uint8Array.from([0, 255, 10, 0])],
    ['a line without an end', () => 'x'.repeat(100_000)],
    ['a number without a start', () => `${process.pid}\n`],
    ['a number that another process has now', () => `${process.pid} ${Number(startOf(process.pid)) - 1}\n`],
    ['a path', () => `self/../${process.pid} ${startOf(process.pid)}\n`],
  ])('%s', async (_, text) => {
    await name(text())
    expect(await launch()).toEqual(['serve'])
    expect(statSync(at('room/server')).isFile()).toBe(true)
  })

  test('a process that has ended and that nobody has buried', async () => {
    const child = spawn('/bin/bash', ['-c', 'sleep 0 & echo $!; exec sleep 300'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    const [said] = (await once(child.stdout, 'data')) as readonly Buffer[]
    const pid = Number(String(said))
    const stateOf = (): string => /\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1] ?? ''
    await vi.waitUntil(() => stateOf() === 'Z', { timeout: 20_000 })
    await name(`${pid} ${startOf(pid)}\n`)
    expect(await launch()).toEqual(['serve'])
  })

  test('a pipe', async () => {
    execFileSync('mkfifo', [at('room/server')])
    expect(await launch()).toEqual(['serve'])
    expect(statSync(at('room/server')).isFile()).toBe(true)
  })

  test('a link, which is not followed', async () => {
    await writeFile(at('elsewhere'), `${startSleeper().name}\n`)
    await symlink(at('elsewhere'), at('room/server'))
    expect(await launch()).toEqual(['serve'])
    expect(readFileSync(at('elsewhere'), 'utf8')).toMatch(/^\d+ \d+\n$/)
  })

  test('a link that leads nowhere', async () => {
    await symlink(at('elsewhere'), at('room/server'))
    expect(await launch()).toEqual(['serve'])
    expect(existsSync(at('elsewhere'))).toBe(false)
  })

  test.runIf(isRoot)('what somebody else has written', async () => {
    await name(`${startSleeper().name}\n`)
    chownSync(at('room/server'), 65_534, 65_534)
    expect(await launch()).toEqual(['serve'])
  })
})

describe('a launcher runs the script itself, at once', () => {
  test('where a folder has the place of the name', async () => {
    await mkdir(at('room/server'))
    expect(await launch()).toEqual(['alone add'])
  })

  test('where there is no room for the name, and leaves none that is empty', async () => {
    // Files can be made, but nothing written to them; the test's own node is spared.
    const before = "trap '' XFSZ; ulimit -S -f 0"
    expect(await launch({ before })).toEqual(['alone add'])
    expect(readdirSync(at('room'))).toEqual([])
    expect(await launch()).toEqual(['serve'])
  })

  test('where no file can be made', async () => {
    expect(await launch({ room: '/proc/self/fd' })).toEqual(['alone add'])
  })

  test('where the room is a link', async () => {
    await rm(at('room'), { recursive: true })
    await mkdir(at('elsewhere'))
    await symlink(at('elsewhere'), at('room'))
    await writeFile(at('elsewhere/server'), `${startSleeper().name}\n`)
    expect(await launch()).toEqual(['alone add'])
    expect(readdirSync(at('elsewhere'))).toEqual(['server'])
  })

  test.runIf(isRoot).each(['room', '.'])("where %s is somebody else's", async which => {
    chownSync(at(which), 65_534, 65_534)
    await name(`${startSleeper().name}\n`)
    expect(await launch()).toEqual(['alone add'])
  })

  test('where the clock is behind the installation, which makes no process known to be of this bundle', async () => {
    const future = Date.now() / 1000 + 100_000
    await utimes(at('bundle.cjs'), future, future)
    expect(await launch()).toEqual(['alone add'])
    expect(readdirSync(at('room'))).toEqual([])
  })
})

describe('a launcher that waits', () => {
  test.each([
    ['is killed', 'rm "$room/$call"; kill -KILL $$'],
    ['says nothing', 'rm "$room/$call"; exec sleep 300 > /dev/null'],
  ])('goes on by itself when its call is taken by a process that %s', async (_, serve) => {
    const calls = await launch({ serve, patienceS: 1 })
    expect(calls).toEqual(['serve', 'alone add'])
    endServer()
  })

  test('waits once for a process that takes nothing: the next call has one of its own', async () => {
    const { name: served } = startSleeper()
    await name(`${served}\n`)
    expect(await launch({ patienceS: 1 })).toEqual(['alone add'])
    expect(await launch()).toEqual(['serve'])
  })

  test.each([
    ['in a driver domain, which has a fourth of the time', DRIVER, undefined],
    ['for what an older toolstack calls', 'backend/vbd/7/51712', undefined],
    ['below Xen 4.6', DOM0, '4 5'],
  ])('has less patience %s', async (_, path, version) => {
    await name(`${startSleeper().name}\n`)
    const xenVersion = await writeVersion(version)
    expect(await launch({ path, shortPatienceS: 1, xenVersion })).toEqual(['alone add'])
  })

  test.each([undefined, '4 6', '5 0'])('has all patience in dom0: Xen %s', async version => {
    await name(`${startSleeper().name}\n`)
    const xenVersion = await writeVersion(version)
    expect(await launch({ path: DOM0, patienceS: 1, xenVersion })).toEqual(['alone add'])
  })

  test('knows the process that serves whatever its name is', async () => {
    const renamed = `printf 'a) Z 1\\n) R' > /proc/$$/comm; echo; read`
    const child = spawn('/bin/bash', ['-c', renamed], { stdio: ['pipe', 'pipe', 'ignore'] })
    onTestFinished(() => void child.kill('SIGKILL'))
    await once(child.stdout, 'data')
    await name(`${child.pid} ${startOf(child.pid)}\n`)
    expect(await launch({ patienceS: 1 })).toEqual(['alone add'])
  })

  test('leaves nothing of what it was given by xl open in the process that serves', async () => {
    // The launcher's pipes are closed at both ends, though the process it has started from the snapshot goes on.
    await writeFile(at('no.blob'), '')
    expect(await launch({ serve: `${ANSWER}; exec sleep 300 > /dev/null` })).toEqual(['serve'])
    endServer()
  })

  test('has the process that serves work without the log it would write to', async () => {
    expect(await launch({ log: folder })).toEqual(['serve'])
  })
})

/** And with it whatever it runs: bash does not wait for what was started from a snapshot. */
function endServer(): void {
  const pid = readFileSync(at('room/server'), 'utf8').split(' ')[0] ?? ''
  spawnSync('pkill', ['-KILL', '-P', pid])
  spawnSync('kill', ['-KILL', pid])
}

async function writeVersion(version: string | undefined): Promise<string> {
  const [major, minor] = version?.split(' ') ?? []
  if (major === undefined) return at('none')
  await mkdir(at('version'))
  await writeFile(at('version/major'), `${major}\n`)
  await writeFile(at('version/minor'), `${minor}\n`)
  return at('version')
}
