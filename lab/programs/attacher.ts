import { inspect } from 'node:util'
import { attachLun, type LunEvent } from 'xen-lun'
import { type AttacherJob, type AttacherLine, type AttacherStart, labelOf } from '../world/protocol.ts'
import { heard, say } from '../world/speech.ts'

// Attaches a LUN and tells every event; kills itself at one of them if it is told so. Ends with its input.

const { request, owner }: AttacherJob = JSON.parse(process.argv[2] ?? '')
const tell = (line: AttacherLine): void => say(line)

const attach = async ({ lastEvent }: AttacherStart): Promise<void> => {
  let events = 0
  const onEvent = (event: LunEvent): void => {
    tell({ type: 'event', label: labelOf(event) })
    // By its own hand, since a signal from another process would come some effects later.
    if (events === lastEvent) process.kill(process.pid, 'SIGKILL')
    events += 1
  }
  await attachLun(request, { owner, timeoutMs: 90_000, onEvent })
  tell({ type: 'attached' })
}

tell({ type: 'ready' })
for await (const line of heard()) {
  try {
    await attach(JSON.parse(line))
  } catch (error) {
    tell({ type: 'failed', error: inspect(error) })
  }
}
process.exit(0)
