import { beforeEach, expect, test } from 'vitest'
import type { LaterAction } from '../../src/hotplug/action.ts'
import { parseCall } from '../../src/hotplug/room.ts'
import { type ServedCall, type ServerPorts, serve } from '../../src/hotplug/server.ts'
import { createMemoryFiles, type MemoryFiles } from '../support/memory-files.ts'

const ROOM = '/run/xen-lun/script'
const NAME = `${ROOM}/server`
const ID = '4000'
const SPEED = 100

/** A clock that runs a hundred times as fast as the real one. */
const clock: ServerPorts['host']['clock'] = {
  now: () => performance.now() * SPEED,
  sleep: async (ms, signal) =>
    await new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, ms / SPEED)
      signal?.addEventListener('abort', () => {
        clearTimeout(timer)
        reject(signal.reason as Error)
      })
    }),
}

const callOf = (pid: number, action = 'add', start = 100): string => `${action},backend+vbd+1+${pid},${pid},${start}`

/** A call that runs until the test ends it. */
interface Run extends ServedCall {
  readonly end: (exitCode: 0 | 1) => void
}

let files: MemoryFiles
let runs: Run[]
let said: string[]
let onRun: () => void
let onChange: (() => void)[]

beforeEach(() => {
  files = createMemoryFiles({ files: { [NAME]: `${ID}\n`, '/proc/uptime': '10.00 0.00\n' } })
  ;[runs, said, onChange] = [[], [], []]
  onRun = () => {}
})

/** A launcher of that number has started 9 s ago, and left its call. */
function leave(pid: number, action = 'add'): string {
  files.contents.set(`/proc/${pid}/stat`, `${pid} (block-xen-lun) S ${Array(18).fill(0).join(' ')} 100 0`)
  files.contents.set(`${ROOM}/${callOf(pid, action)}`, '')
  change()
  return callOf(pid, action)
}

function change(): void {
  for (const tell of onChange.splice(0)) tell()
}

function start(more: Partial<ServerPorts> = {}): Promise<void> {
  return serve({
    host: { files, clock },
    room: ROOM,
    id: ID,
    openAnswer: ({ pid }) => ({
      say: line => said.push(`${pid} ${line}`),
      close: () => said.push(`${pid} closed`),
    }),
    run: async call =>
      await new Promise(end => {
        runs.push({ ...call, end })
        onRun()
      }),
    change: async () => await new Promise<void>(tell => onChange.push(tell)),
    signal: new AbortController().signal,
    crash: new Promise(() => {}),
    ...more,
  })
}

/** Resolves when so many calls have begun. */
async function begun(count: number): Promise<void> {
  while (runs.length < count) {
    await new Promise<void>(resolve => {
      onRun = resolve
    })
  }
}

test('runs calls side by side, tells each launcher how its own ended, and leaves when no more come', async () => {
  leave(5001)
  const served = start()
  leave(5002, 'remove')
  await begun(2)
  expect(runs.map(({ invocation }) => invocation)).toEqual([
    { args: ['add'], env: { XENBUS_PATH: 'backend/vbd/1/5001' }, spentMs: 9000 },
    { args: ['remove'], env: { XENBUS_PATH: 'backend/vbd/1/5002' }, spentMs: 9000 },
  ])
  runs[1]?.end(1)
  runs[0]?.complain('xenstored does not run')
  runs[0]?.end(0)
  await served
  expect(said).toEqual([
    '5001 taken',
    '5002 taken',
    '5001 say xenstored does not run',
    '5002 exit 1',
    '5002 closed',
    '5001 exit 0',
    '5001 closed',
  ])
  expect([...files.contents.keys()].filter(path => path.startsWith(ROOM))).toEqual([])
})

test('takes a call that comes while it leaves', async () => {
  const remove = files.remove.bind(files)
  files.remove = async path => {
    // The launcher has seen the name, so it starts no other process.
    if (path === NAME) leave(5001)
    return await remove(path)
  }
  const served = start()
  await begun(1)
  runs[0]?.end(0)
  await served
  expect(said).toEqual(['5001 taken', '5001 exit 0', '5001 closed'])
})

test('once another process is named takes no more, and leaves when its calls are done', async () => {
  leave(5001)
  const served = start()
  await begun(1)
  files.contents.set(NAME, '4001\n')
  leave(5002)
  runs[0]?.end(0)
  await served
  expect([runs.length, files.contents.has(`${ROOM}/${callOf(5002)}`), files.contents.get(NAME)]).toEqual([
    1,
    true,
    '4001\n',
  ])
})

test('stops the call whose launcher was told to end, and no other', async () => {
  const name = leave(5001)
  leave(5002)
  const served = start()
  await begun(2)
  files.contents.set(`${ROOM}/${name}.stop`, '')
  const stopped = new Promise(resolve => runs[0]?.signal.addEventListener('abort', resolve))
  change()
  await stopped
  expect(runs.map(({ signal }) => signal.aborted)).toEqual([true, false])
  for (const { end } of runs) end(1)
  await served
  expect(files.contents.has(`${ROOM}/${name}.stop`)).toBe(false)
})

test.each([
  ['is gone', undefined],
  ['has its number from another process', '200'],
])('drops a call whose launcher %s', async (_, started) => {
  leave(5001)
  if (started === undefined) files.contents.delete('/proc/5001/stat')
  else files.contents.set('/proc/5001/stat', `5001 (x) S ${Array(18).fill(0).join(' ')} ${started} 0`)
  await start()
  expect([runs, said]).toEqual([[], ['5001 closed']])
})

test('goes on by itself with what a call starts for later, and stays as long', async () => {
  leave(5001)
  const served = start()
  await begun(1)
  const action: LaterAction = 'complete'
  runs[0]?.startLater(action)
  runs[0]?.end(0)
  await begun(2)
  expect(runs[1]?.invocation).toEqual({ args: ['complete'], env: { XENBUS_PATH: 'backend/vbd/1/5001' }, spentMs: 0 })
  await clock.sleep(90_000)
  expect(files.contents.has(NAME)).toBe(true)
  runs[1]?.end(0)
  await served
  expect(files.contents.has(NAME)).toBe(false)
})

test('goes by the first line of the name, since another one was there before', async () => {
  files.contents.set(NAME, `${ID}\n0 7\n`)
  leave(5001)
  const served = start()
  await begun(1)
  runs[0]?.end(0)
  await served
  expect(said).toEqual(['5001 taken', '5001 exit 0', '5001 closed'])
})

test('does not read a name that is no file, which could keep it for ever', async () => {
  const [stat, read] = [files.stat.bind(files), files.read.bind(files)]
  let isRead = false
  files.stat = async path => {
    const found = await stat(path)
    return path === NAME && found !== undefined ? { ...found, kind: 'other' } : found
  }
  files.read = async path => {
    isRead ||= path === NAME
    return await read(path)
  }
  leave(5001)
  await start()
  expect([isRead, runs]).toEqual([false, []])
})

test('does without what cannot be removed: folders with the names of a call and of an end', async () => {
  leave(5001)
  const remove = files.remove.bind(files)
  const odd = [callOf(4001), `${callOf(4002)}.stop`, `${callOf(5001)}.stop`].map(name => `${ROOM}/${name}`)
  for (const path of odd) files.directories.add(path)
  files.remove = async path => {
    if (odd.includes(path)) throw Object.assign(new Error(`EISDIR: ${path}`), { code: 'EISDIR' })
    return await remove(path)
  }
  const served = start()
  await begun(1)
  runs[0]?.end(0)
  await served
  expect(said).toEqual(['5001 taken', '5001 exit 0', '5001 closed'])
})

test('says one line at a time, since the next one would be another word', async () => {
  leave(5001)
  const served = start()
  await begun(1)
  runs[0]?.complain('a\nexit 0\u0007')
  runs[0]?.end(1)
  await served
  expect(said).toEqual(['5001 taken', '5001 say a exit 0', '5001 exit 1', '5001 closed'])
})

/** The call that comes now stays where it is, and the process ends with the one it has. */
async function expectNoMore(served: Promise<void>): Promise<void> {
  leave(5002)
  runs[0]?.end(1)
  await served
  expect([runs.length, files.contents.has(`${ROOM}/${callOf(5002)}`)]).toEqual([1, true])
}

test('stops all calls when it is told to end, and takes no more', async () => {
  leave(5001)
  const stop = new AbortController()
  const served = start({ signal: stop.signal })
  await begun(1)
  stop.abort(new Error('ended by SIGTERM'))
  expect(runs[0]?.signal.reason).toEqual(new Error('ended by SIGTERM'))
  await expectNoMore(served)
})

test('takes no more after a call that has left something running', async () => {
  leave(5001)
  const served = start()
  await begun(1)
  runs[0]?.onAbandoned()
  await expectNoMore(served)
})

test('takes no more after an error that nobody caught', async () => {
  leave(5001)
  let fail: (error: Error) => void = () => {}
  const crash = new Promise(resolve => {
    fail = resolve
  })
  const served = start({ crash })
  await begun(1)
  fail(new Error('nobody caught this'))
  await Promise.resolve()
  await expectNoMore(served)
})

test('clears away what launchers have left that were killed', async () => {
  const name = leave(5001)
  files.contents.set(`${ROOM}/${callOf(5003)}.stop`, '')
  files.contents.set(`${ROOM}/notes`, '')
  const served = start()
  await begun(1)
  files.contents.set(`${ROOM}/${callOf(5001, 'remove')}.stop`, '')
  runs[0]?.end(0)
  await served
  expect([...files.contents.keys()].filter(path => path.startsWith(ROOM))).toEqual([
    `${ROOM}/notes`,
    `${ROOM}/${callOf(5001, 'remove')}.stop`,
  ])
  expect(name).toBe(callOf(5001))
})

test.each(['server', 'add,backend+vbd+1+2', 'add,../x,1,2', 'online,backend+vbd+1+2,3,4', 'add,backend/vbd,1,2', ''])(
  '%j is no call',
  name => {
    expect(parseCall(name)).toBeUndefined()
  }
)
