/** Those who listen to one signal, and the listener that tells them. */
interface Relay {
  readonly listeners: Set<() => void>
  readonly tell: () => void
}

const relays = new WeakMap<AbortSignal, Relay>()

/**
 * Calls `hear` once `signal` fires, at once if it has, unless what this returns was called before. However many listen to
 * one signal, it has one listener of ours: Node warns of a leak when there are more than ten, but a caller may give one
 * signal to many operations, and an operation has many waits.
 */
export function onAbort(signal: AbortSignal | undefined, hear: () => void): () => void {
  if (signal === undefined) return () => {}
  if (signal.aborted) {
    hear()
    return () => {}
  }
  const relay = relays.get(signal) ?? startRelay(signal)
  // Its own each time, since one function may listen twice.
  const own = (): void => hear()
  relay.listeners.add(own)
  return () => {
    if (!relay.listeners.delete(own) || relay.listeners.size > 0 || signal.aborted) return
    relays.delete(signal)
    signal.removeEventListener('abort', relay.tell)
  }
}

function startRelay(signal: AbortSignal): Relay {
  const listeners = new Set<() => void>()
  const tell = (): void => {
    for (const hear of listeners) hear()
  }
  const relay = { listeners, tell }
  relays.set(signal, relay)
  signal.addEventListener('abort', tell, { once: true })
  return relay
}
