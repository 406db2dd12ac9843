import { inspect } from 'node:util'
import { attachLun, createLocalHost, detachLun, type Observer } from 'xen-lun'
import type { StepTimes, TimingJob, TimingLine } from '../world/protocol.ts'
import { heard, say } from '../world/speech.ts'

// Attaches and detaches a LUN for every line it gets, and tells how long each took. There may be two of it, one with the
// library of another checkout (bundle.mjs), so it uses only what every version has.

const { request, owner }: TimingJob = JSON.parse(process.argv[2] ?? '')
const patient = { host: createLocalHost(), owner, timeoutMs: 120_000 }
const tell = (line: TimingLine): void => say(line)

/** Adds up how long each step takes, of those that begin and end. */
const createStepTimes = (): { readonly onEvent: Observer; readonly timesMs: () => StepTimes } => {
  const startedMs = new Map<string, number>()
  const timesMs = new Map<string, number>()
  return {
    timesMs: () => Object.fromEntries(timesMs),
    onEvent: event => {
      if (event.type !== 'start' && event.type !== 'end') return
      const name = `${event.operation} ${event.step}`
      if (event.type === 'start') startedMs.set(name, event.elapsedMs)
      else timesMs.set(name, (timesMs.get(name) ?? 0) + event.elapsedMs - (startedMs.get(name) ?? 0))
    },
  }
}

const playRound = async (): Promise<void> => {
  const { onEvent, timesMs } = createStepTimes()
  const startedMs = performance.now()
  await attachLun(request, { ...patient, onEvent })
  const attachedMs = performance.now()
  await detachLun({ target: request.target, lun: request.lun }, { ...patient, onEvent })
  const detachedMs = performance.now()
  tell({
    type: 'round',
    attachMs: attachedMs - startedMs,
    detachMs: detachedMs - attachedMs,
    stepsMs: timesMs(),
  })
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
