import { type Host, LunError } from 'xen-lun'
import { queued } from '../../src/flow/queued-locks.ts'
import type { ChannelListener, XenstoreConnect } from '../../src/host/byte-channel.ts'
import { describe } from '../../src/host/command.ts'
import { createFlock } from '../../src/host/flock.ts'

/**
 * What befalls one call. `rejects`: nothing is done; `rejects late`: all of it is done, and an error told; `hangs`: nothing
 * comes of it, ever, whatever the signal; `is told to end`: the process gets SIGTERM meanwhile.
 */
export const BLOWS = ['rejects', 'rejects late', 'hangs', 'is told to end'] as const
export type Blow = (typeof BLOWS)[number]

export interface FaultyHost {
  readonly host: Host
  /** The call that was struck; undefined if there were fewer. */
  readonly struck: () => string | undefined
}

/** `host`, of whose calls one has a fault: every program, file, and message to xenstored counts, in their order. */
export function createFaultyHost(host: Host, at: number, blow: Blow, terminate: () => void): FaultyHost {
  let calls = 0
  let struck: string | undefined
  const isStruck = (call: string): boolean => {
    if (calls++ !== at) return false
    struck = call
    return true
  }
  const through = async <T>(call: string, refusal: () => Error, task: () => Promise<T>): Promise<T> => {
    if (!isStruck(call)) return await task()
    if (blow === 'hangs') return await new Promise<never>(() => {})
    if (blow === 'is told to end') terminate()
    if (blow !== 'rejects') {
      const result = await task()
      if (blow === 'is told to end') return result
    }
    throw refusal()
  }
  const executor: Host['executor'] = {
    exec: async (command, options) => {
      const line = describe(command)
      const refusal = (): Error =>
        new LunError('COMMAND_KILLED', `${line} was ended by SIGKILL`, { command: line, signal: 'SIGKILL' })
      return await through(`run ${line}`, refusal, async () => await host.executor.exec(command, options))
    },
  }
  const files = new Proxy(host.files, {
    get:
      (target, name: keyof Host['files']) =>
      async (...args: readonly unknown[]): Promise<unknown> => {
        const refusal = (): Error =>
          Object.assign(new Error(`EIO: i/o error, ${name} '${String(args[0])}'`), { code: 'EIO' })
        const call = target[name] as (...given: readonly unknown[]) => Promise<unknown>
        return await through(`${name} ${String(args[0])}`, refusal, async () => await call(...args))
      },
  })
  const xenstoreConnect: XenstoreConnect = async (listener, options) => {
    const connect = host.xenstoreConnect
    if (connect === undefined) throw unavailable()
    const channel = await through('connect to xenstored', unavailable, async () => await connect(listener, options))
    return { ...channel, send: message => sendThrough(channel, listener, message) }
  }
  const sendThrough = (
    channel: Awaited<ReturnType<XenstoreConnect>>,
    listener: ChannelListener,
    message: Uint8Array
  ): void => {
    if (!isStruck('ask xenstored')) return channel.send(message)
    if (blow === 'hangs') return
    if (blow === 'is told to end') terminate()
    if (blow !== 'rejects') channel.send(message)
    if (blow === 'is told to end') return
    channel.close()
    listener.onClose('the connection was cut')
  }
  return {
    host: {
      executor,
      files,
      clock: host.clock,
      locks: queued(createFlock({ executor, files }), host.clock),
      xenstoreConnect,
    },
    struck: () => struck,
  }
}

function unavailable(): LunError<'XENSTORE_UNAVAILABLE'> {
  return new LunError('XENSTORE_UNAVAILABLE', 'xenstore: no connection', { reason: 'no connection' })
}
