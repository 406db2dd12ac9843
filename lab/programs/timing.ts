import { inspect } from 'node:util'
import { attachLun, createLocalHost, detachLun } from 'xen-lun'
import type { TimingJob, TimingLine } from '../world/protocol.ts'
import { heard, say } from '../world/speech.ts'

// Attaches and detaches a LUN for every line it gets, and tells how long each took. There may be two of it, one with the
// library of another checkout (bundle.mjs), so it uses only what every version has.

const { request, owner }: TimingJob = JSON.parse(process.argv[2] ?? '')
const patient = { host: createLocalHost(), owner, timeoutMs: 120_000 }
const tell = (line: TimingLine): void => say(line)

const playRound = async (): Promise<void> => {
  const startedMs = performance.now()
  await attachLun(request, patient)
  const attachedMs = performance.now()
  await detachLun({ target: request.target, lun: request.lun }, patient)
  tell({ type: 'round', attachMs: attachedMs - startedMs, detachMs: performance.now() - attachedMs })
}

tell({ type: 'ready' })
for await (const _ of heard()) {
  try {
    await playRound()
  } catch (error) {
    tell({ type: 'failed', error: inspect(error) })
  }
}
process.exit(0)
