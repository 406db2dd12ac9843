import type { World } from './world.ts'

/** One run through a part of the library's life. It must leave the host as it found it. */
export interface Scenario<W = World> {
  readonly name: string
  /** One line for --list. */
  readonly about: string
  /** Why the simulation cannot run it. */
  readonly onlyOnDom0?: string
  /** It takes minutes on the real host: `npm run lab` leaves it out, `npm run lab -- --all` does not. */
  readonly isLong?: true
  /** So close to a limit that it holds only where nothing else runs on the machine: only `--only` runs it. */
  readonly isTight?: true
  /** On the real host. 3 minutes, if left out. */
  readonly timeoutMs?: number
  run(world: W): Promise<void>
}
