import assert from 'node:assert/strict'
import { createXenstore, isLunError, type XenstoreHost } from 'xen-lun'
import type { Scenario } from './scenario.ts'
import type { World } from './world.ts'
import { xenstoreCases } from './xenstore-cases.ts'

const ROOT = '/local/domain/0/xen-lun-test'

/** A way to xenstore. */
interface Way {
  readonly name: string
  readonly host: XenstoreHost & Pick<World['host'], 'clock'>
  readonly transport: 'native' | 'commands'
  readonly maxPayload?: number
  readonly reads?: number
}

// drivers/xen/xenbus/xenbus_dev_frontend.c: 4096 bytes with the header of 16.
const DEVICE_PAYLOAD = 4080

/** What was made in whatever way is removed by a command. */
async function runCases({ host }: World, { name: way, transport, host: place, ...limits }: Way): Promise<void> {
  await using xenstore = createXenstore(place, { transport })
  await using other = createXenstore(place, { transport })
  await using commands = createXenstore(host, { transport: 'commands' })
  for (const [n, { name, needsSocket, run }] of xenstoreCases.entries()) {
    if (transport === 'commands' && needsSocket) continue
    try {
      await run({ xenstore, other, root: `${ROOT}/${n}`, clock: host.clock, ...limits })
    } catch (error) {
      throw new Error(`${way}: ${name}: ${String(error)}`, { cause: error })
    } finally {
      await commands.rm(ROOT)
    }
  }
  assert.equal(await commands.exists(ROOT), false)
}

async function everyWay(world: World): Promise<void> {
  const { host, xenstoreDevice } = world
  const device: Way[] =
    xenstoreDevice === undefined
      ? []
      : [
          {
            name: 'device',
            host: { ...host, xenstoreConnect: xenstoreDevice },
            transport: 'native',
            maxPayload: DEVICE_PAYLOAD,
            // It takes one at a time.
            reads: 100,
          },
        ]
  const ways: readonly Way[] = [
    { name: 'socket', host, transport: 'native' },
    ...device,
    { name: 'commands', host, transport: 'commands' },
  ]
  const failed: string[] = []
  for (const way of ways) await runCases(world, way).catch((error: unknown) => failed.push(String(error)))
  assert.deepEqual(failed, [])
}

async function refusals({ host }: World): Promise<void> {
  await using xenstore = createXenstore(host, { transport: 'commands' })
  const watch = xenstore.watch(ROOT)[Symbol.asyncIterator]()
  const calls = [
    async () => await watch.next(),
    async () => await xenstore.mkdir(ROOT),
    async () => await xenstore.getPermissions(ROOT),
    async () => await xenstore.transaction(async tx => await tx.read(ROOT)),
  ]
  for (const call of calls) {
    await assert.rejects(
      call,
      error => isLunError(error, 'XENSTORE_UNAVAILABLE') && /needs the socket/.test(error.message)
    )
  }
}

async function program(world: World): Promise<void> {
  await everyWay(world)
  await refusals(world)
  await world.expectClean()
}

export const xenstoreScenarios: readonly Scenario[] = [
  {
    name: 'xenstore',
    about: 'xenstored answers alike over its socket, the device of the kernel and by commands',
    timeoutMs: 300_000,
    run: program,
  },
]
