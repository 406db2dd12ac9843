import type { World } from './world/world.ts'

/** One run through a part of the library's life, on a real host. It must leave the host as it found it. */
export interface Scenario {
  readonly name: string
  /** One line for --list. */
  readonly about: string
  /** 3 minutes, if left out. */
  readonly timeoutMs?: number
  run(world: World): Promise<void>
}
