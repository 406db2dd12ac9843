import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { inspect } from 'node:util'
import { attachLun, createLocalHost, detachLun } from 'xen-lun'
import { markerOffset, type RoundsJob, type RoundsLine } from '../world/protocol.ts'
import { heard, say } from '../world/speech.ts'

// Attaches and detaches a LUN again and again, as soon as it gets a line to read, and tells of every round.

const { request, owner, rounds, marker }: RoundsJob = JSON.parse(process.argv[2] ?? '')
const host = createLocalHost()
const patient = { host, owner, timeoutMs: 120_000 }
const tell = (line: RoundsLine): void => say(line)

const sessions = (): readonly string[] => {
  try {
    return readdirSync('/sys/class/iscsi_session')
  } catch {
    return [] // until something has loaded the module
  }
}

const readMarker = async (device: string): Promise<string> => {
  await using file = await open(device, 'r')
  const { buffer } = await file.read(Buffer.alloc(4096), 0, 4096, markerOffset)
  return buffer.toString('latin1', 0, marker.length)
}

const playRound = async (): Promise<void> => {
  const before = sessions()
  const startedMs = performance.now()
  const lun = await attachLun(request, patient)
  const attachMs = Math.round(performance.now() - startedMs)
  assert.equal(lun.outcome, 'attached')
  // On a host this busy a path may join after the attach has returned.
  assert.deepEqual(
    (await lun.allPaths()).map(({ state }) => state),
    ['up', 'up']
  )
  assert.equal(await readMarker(lun.device), marker)
  const isShared = sessions().some(session => before.includes(session))
  const detachedMs = performance.now()
  const { outcome } = await detachLun({ target: request.target, lun: request.lun }, patient)
  assert.equal(outcome, 'detached')
  tell({ type: 'round', attachMs, detachMs: Math.round(performance.now() - detachedMs), isShared })
}

tell({ type: 'ready' })
for await (const _ of heard()) {
  try {
    for (let round = 0; round < rounds; round += 1) await playRound()
  } catch (error) {
    tell({ type: 'failed', error: inspect(error) })
  }
  break
}
process.exit(0)
