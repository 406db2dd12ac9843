// Prints every event of an attach, follows paths that join late, and detaches on Ctrl-C.
//
//   node examples/watch-events.js iqn.2001-05.com.example:vm1 10.0.1.1 10.0.2.1
import { attachLun, type LunEvent } from 'xen-lun'

const [target = '', ...portals] = process.argv.slice(2)
const stop = new AbortController()
process.once('SIGINT', () => stop.abort(new Error('interrupted')))

function print(event: LunEvent): void {
  const at = `${String(event.elapsedMs).padStart(6)} ms`
  switch (event.type) {
    case 'start':
    case 'end':
      console.log(`${at}  ${event.step} ${event.type}`)
      break
    case 'path':
      console.log(`${at}  path ${event.path.portal}: ${event.path.state} ${event.path.disk ?? ''}`)
      break
    case 'failed':
    case 'warning':
      console.log(`${at}  ${event.type}: ${event.message}`)
      break
  }
}

// One path is enough to begin with; the others may take two minutes.
const attached = await attachLun(
  { target, portals, paths: { wanted: 1, lateMs: 120_000 } },
  { signal: stop.signal, timeoutMs: 20_000, onEvent: print }
)
console.log(`use ${attached.device}`)
for (const { portal, state } of await attached.allPaths()) console.log(`${portal} ended ${state}`)
await attached.detach({ onEvent: print })
