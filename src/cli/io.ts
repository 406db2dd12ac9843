import type { Host } from '../host/host.ts'

/** What the command line has of the process it runs in. */
export interface Io {
  readonly stdout: (text: string) => void
  readonly stderr: (text: string) => void
  readonly host: Host
  /** Aborted with an {@link Interrupted}. */
  readonly signal: AbortSignal
  readonly self: Self
  /** Starts another run of this program, which outlives this one. Rejects if it cannot be started. */
  readonly startLater: (args: readonly string[]) => Promise<void>
}

/** The program itself. */
export interface Self {
  readonly version: string
  /** The node that runs it. */
  readonly nodePath: string
  /** Where its bundle lies, and that of the block script. */
  readonly folder: string
  /** Home of the one who runs it. */
  readonly home: string | undefined
}

/** 128 and the number of the signal, as shells have it. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const

/** The reason of an abort by a signal. */
export class Interrupted extends Error {
  override readonly name: string = 'Interrupted'
  readonly signal: keyof typeof EXIT_CODES
  readonly exitCode: number

  constructor(signal: keyof typeof EXIT_CODES) {
    super(`ended by ${signal}; what was begun has been taken back`)
    this.signal = signal
    this.exitCode = EXIT_CODES[signal]
  }
}
