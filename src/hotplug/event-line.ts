import type { LunEvent } from '../core/event.ts'

/** What the log tells of an event; undefined for those that follow from others. */
export function describeEvent(event: LunEvent): string | undefined {
  const at = `at ${event.elapsedMs} ms`
  switch (event.type) {
    case 'start':
      return `${event.step} ${at}`
    case 'path': {
      const { portal, iface, state, error } = event.path
      return `path ${portal} ${iface} ${state} ${at}${error === undefined ? '' : `: ${error.message}`}`
    }
    case 'warning':
      return `warning: ${event.message}`
    case 'failed':
      return `taking back, because: ${event.message}`
    case 'end':
      return undefined
  }
}
