// Compares ways to read xenstore, on the xenstored of this host ($XENSTORED_PATH) or on a simulated one:
// node scripts/run.mjs scripts/bench.ts [READS]. What counts are the ratios: they belong to one run.
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLocalHost, createXenstore, type Xenstore } from 'xen-lun'
import { createXenstoreModel } from '../src/testing/dom0/xenstore.ts'
import { createXenstored } from '../src/testing/dom0/xenstored.ts'

const READS = Number(process.argv[2] ?? 1000)
const FORKS = 50
const PATH = '/local/domain/0/name'
const MICROSECONDS = 1000

/** Microseconds for one. */
async function measure(count: number, work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now()
  await work()
  return ((performance.now() - startedMs) * MICROSECONDS) / count
}

async function oneByOne(count: number, read: () => Promise<unknown>): Promise<void> {
  for (let n = 0; n < count; n++) await read()
}

/** The simulated xenstored on a socket, in this process: it has its share of the time. */
async function serve(): Promise<() => void> {
  const folder = mkdtempSync(join(tmpdir(), 'xen-lun-'))
  const path = join(folder, 'socket')
  const xenstored = createXenstored(createXenstoreModel())
  const server = createServer(socket => {
    const client = { onBytes: (bytes: Uint8Array) => void socket.write(bytes), onClose: () => void socket.destroy() }
    const session = xenstored.connect(client)
    socket.on('data', bytes => session?.receive(bytes))
  })
  await new Promise<void>(resolve => server.listen(path, resolve))
  process.env['XENSTORED_PATH'] = path
  return () => {
    server.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function compare(native: Xenstore, fork: () => Promise<unknown>, forked: string): Promise<void> {
  await oneByOne(READS, async () => await native.read(PATH)) // warm
  const pipelined = await measure(
    READS,
    async () => await Promise.all(Array.from({ length: READS }, async () => await native.read(PATH)))
  )
  const rows: readonly (readonly [string, number])[] = [
    [`${READS} reads at once, native`, pipelined],
    [
      `${READS} reads one by one, native`,
      await measure(READS, async () => await oneByOne(READS, async () => await native.read(PATH))),
    ],
    [`${FORKS} times ${forked}, one by one`, await measure(FORKS, async () => await oneByOne(FORKS, fork))],
  ]
  for (const [name, each] of rows) {
    console.log(
      `${name.padEnd(46)} ${each.toFixed(1).padStart(9)} µs each  ${(each / pipelined).toFixed(1).padStart(6)} x`
    )
  }
}

const isReal = process.env['XENSTORED_PATH'] !== undefined
const stop = isReal ? () => {} : await serve()
const host = createLocalHost()
await using native = createXenstore(host, { transport: 'native' })
const commands = createXenstore(host, { transport: 'commands' })
const idle = { file: 'true', args: [], decode: () => undefined }
const hasCommands = await commands.exists(PATH).catch(() => false)
if (hasCommands) await compare(native, async () => await commands.read(PATH), 'xenstore-read')
else await compare(native, async () => await host.executor.exec(idle), '`true` (there is no xenstore-read)')
stop()
