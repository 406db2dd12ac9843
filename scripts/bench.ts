// Compares ways to read xenstore, on the xenstored of this host ($XENSTORED_PATH) or on a simulated one:
// node scripts/run.mjs scripts/bench.ts [READS]. What counts are the ratios: they belong to one run.
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLocalHost, createXenstore, type Xenstore } from 'xen-lun'
import { createXenstoreModel } from '../src/testing/dom0/xenstore.ts'
import { createXenstored } from '../src/testing/dom0/xenstored.ts'
import { compareSpeed, formatSpeed } from '../test/scenarios/xenstore-speed.ts'

const READS = Number(process.argv[2] ?? 1000)
const FORKS = 50
const PATH = '/local/domain/0/name'

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
  const rows = await compareSpeed(native, { path: PATH, reads: READS, forks: FORKS, fork, forked })
  for (const row of rows) console.log(formatSpeed(row))
}

const isReal = process.env['XENSTORED_PATH'] !== undefined
const stop = isReal ? () => {} : await serve()
const host = createLocalHost()
const native = createXenstore(host, { transport: 'native' })
const commands = createXenstore(host, { transport: 'commands' })
const idle = { file: 'true', args: [], decode: () => undefined }
const hasCommands = await commands.exists(PATH).catch(() => false)
if (hasCommands) await compare(native, async () => await commands.read(PATH), 'xenstore-read')
else await compare(native, async () => await host.executor.exec(idle), '`true` (there is no xenstore-read)')
await native.close()
stop()
