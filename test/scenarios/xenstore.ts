import assert from 'node:assert/strict'
import { createXenstore, isLunError } from 'xen-lun'
import type { Scenario } from './scenario.ts'
import type { World } from './world.ts'
import { xenstoreCases } from './xenstore-cases.ts'

const ROOT = '/local/domain/0/xen-lun-test'

async function runCases({ host }: World, transport: 'native' | 'commands'): Promise<void> {
  await using xenstore = createXenstore(host, { transport })
  await using other = createXenstore(host, { transport })
  await using commands = createXenstore(host, { transport: 'commands' })
  for (const [n, { name, needsSocket, run }] of xenstoreCases.entries()) {
    if (transport === 'commands' && needsSocket) continue
    const root = `${ROOT}/${n}`
    try {
      await run({ xenstore, other, root, clock: host.clock })
    } catch (error) {
      throw new Error(`${transport}: ${name}: ${String(error)}`, { cause: error })
    } finally {
      await commands.rm(ROOT)
    }
  }
  assert.equal(await commands.exists(ROOT), false)
}

/** What was made over the socket is removed by a command. */
async function bothWays(world: World): Promise<void> {
  await runCases(world, 'native')
  await runCases(world, 'commands')
}

async function refusals({ host }: World): Promise<void> {
  await using xenstore = createXenstore(host, { transport: 'commands' })
  const watch = xenstore.watch(ROOT)[Symbol.asyncIterator]()
  const calls = [
    watch.next(),
    xenstore.mkdir(ROOT),
    xenstore.getPermissions(ROOT),
    xenstore.transaction(async tx => await tx.read(ROOT)),
  ]
  for (const call of calls) {
    await assert.rejects(
      call,
      error => isLunError(error, 'XENSTORE_UNAVAILABLE') && /needs the socket/.test(error.message)
    )
  }
}

async function program(world: World): Promise<void> {
  await bothWays(world)
  await refusals(world)
  await world.expectClean()
}

export const xenstoreScenarios: readonly Scenario[] = [
  { name: 'xenstore', about: 'xenstored answers alike over its socket and by commands', run: program },
]
