import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { within } from '../world/until.ts'
import { createCaller, type Methods, type Remote } from './calls.ts'
import type { MachineName } from './layout.ts'

export interface MachineSpec<N extends MachineName> {
  readonly name: N
  readonly kind: 'host' | 'storage'
  /** More arguments for QEMU. */
  readonly devices: readonly string[]
}

/** Where all machines have their things. */
export interface MachineRoom {
  /** The directory with image/boot, and the files it takes. */
  readonly boot: string
  readonly image: string
  readonly initrd: string
  readonly project: string
  /** Has a directory for each machine, with its console.log. */
  readonly out: string
  /** For sockets, whose paths must be short. */
  readonly sockets: string
  readonly seconds: number
}

/** A QEMU process and the agent in it. */
export interface Machine<N extends MachineName, M extends Methods<M>> extends AsyncDisposable {
  readonly name: N
  readonly ask: Remote<M>
  /** Resolves when the agent answers. */
  readonly ready: Promise<unknown>
  /** Resolves with the reason when the machine has ended, which before the end of the run it must not. */
  readonly ended: Promise<string>
}

const bootTimeoutMs = 240_000

const connectTo = async (path: string, isRunning: () => boolean): Promise<Socket> => {
  for (;;) {
    const socket = connect({ path })
    try {
      await once(socket, 'connect')
      return socket
    } catch (cause) {
      if (!isRunning()) throw new Error('QEMU ended at once', { cause })
      await delay(50)
    }
  }
}

/** Starts QEMU; resolves when it has its sockets, long before the machine is up. */
export const startMachine = async <N extends MachineName, M extends Methods<M>>(
  { name, kind, devices }: MachineSpec<N>,
  room: MachineRoom
): Promise<Machine<N, M>> => {
  const directory = `${room.out}/${name}`
  const share = `${directory}/share`
  await mkdir(share, { recursive: true })
  await writeFile(`${share}/command`, `/project/dist-lab/hosts-agent.mjs\n${name}\n`)
  const path = `${room.sockets}/${name}.agent`
  const serial = [
    '-chardev',
    `socket,id=agent,path=${path},server=on,wait=off`,
    '-device',
    'virtio-serial-pci',
    '-device',
    'virtserialport,chardev=agent,name=agent',
  ]
  const fixed = [room.image, room.initrd, room.project, share, `${directory}/console.log`, String(room.seconds), kind]
  const qemu = spawn(room.boot, [...fixed, ...serial, ...devices], { stdio: ['ignore', 'inherit', 'inherit'] })
  const kill = (): boolean => qemu.kill('SIGTERM')
  process.once('exit', kill)
  let reason: string | undefined
  const ended = new Promise<string>(resolve => {
    const end = (text: string): void => {
      reason = text
      resolve(text)
    }
    qemu.on('exit', (code, signal) => end(code === 124 ? 'time is up' : `QEMU ended with ${signal ?? code}`))
    qemu.on('error', error => end(`QEMU cannot be started: ${error.message}`))
  })
  const socket = await within(
    `QEMU of ${name}`,
    connectTo(path, () => reason === undefined)
  )
  const caller = createCaller(name, socket)
  socket.on('error', () => {})
  void ended.then(text => caller.fail(text))
  const ready = within(`the agent of ${name}`, caller.ready, bootTimeoutMs)
  ready.catch(() => {})
  const methods = new Proxy(
    {},
    {
      get:
        (_, method) =>
        (...args: readonly unknown[]) =>
          caller.call(String(method), args),
    }
  )
  return {
    name,
    // The names come from the type alone, hence a proxy.
    ask: methods as Remote<M>,
    ready,
    ended,
    [Symbol.asyncDispose]: async () => {
      kill()
      await ended
      process.off('exit', kill)
    },
  }
}
