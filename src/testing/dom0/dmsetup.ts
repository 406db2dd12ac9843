import type { Kernel } from './kernel.ts'
import { answer, failed, type Program } from './program.ts'
import type { Scheduler } from './scheduler.ts'

const WORK_MS = 5
const COUNTS = 'info --columns --noheadings --separator : --options major,minor,open'

/** dmsetup, as far as it tells how often devices are open. */
export function createDmsetupProgram({ maps }: Kernel, scheduler: Scheduler): Program {
  return {
    run: async args => {
      await scheduler.sleep(WORK_MS)
      if (args.join(' ') !== COUNTS) return failed(3, 'dmsetup: unrecognized option\n')
      if (maps.size === 0) return answer('No devices found\n')
      // What is stacked on a device opens it once.
      const lines = [...maps.values()].map(
        ({ major, minor, openCount, holders }) => `${major}:${minor}:${openCount + holders.size}\n`
      )
      return answer(lines.join(''))
    },
  }
}
