import type { CommandResult } from '../../host/command.ts'
import type { Kernel } from './kernel.ts'
import type { Multipathd } from './multipathd.ts'
import { answer, failed, type OpenFile, type Program, readOptions } from './program.ts'
import type { Scheduler } from './scheduler.ts'

const WORK_MS = 5
const SECOND_MS = 1000

/** The `multipathd` command: a client of the daemon. */
export function createMultipathdProgram(multipathd: Multipathd, scheduler: Scheduler): Program {
  return {
    run: async args => {
      await scheduler.sleep(WORK_MS)
      if (!multipathd.isRunning()) return failed(1, 'ERROR: failed to connect to multipathd\n')
      return toResult(multipathd.ask(args.join(' ')))
    },
  }
}

// What the daemon puts "fail" in front of exits 1, without that word unless it is the only one.
function toResult(text: string): CommandResult {
  if (!text.startsWith('fail\n')) return answer(text)
  return answer(text === 'fail\n' ? text : text.slice('fail\n'.length), 1)
}

/** `multipath -f`, `-a` and `-w`. */
export function createMultipathProgram(multipathd: Multipathd, kernel: Kernel, scheduler: Scheduler): Program {
  return {
    run: async args => {
      await scheduler.sleep(WORK_MS)
      const options = readOptions(args, [])
      const [map, device, wwid] = [options.get('-f'), options.get('-a'), options.get('-w')]
      if (map !== undefined) {
        const outcome = multipathd.flush(map)
        const words = { flushed: '', absent: 'device not found\n', busy: 'map or partition in use\n' }[outcome]
        return answer(words, outcome === 'flushed' ? 0 : 1)
      }
      if (device !== undefined) {
        const identity = kernel.disks.get(device.replace('/dev/', ''))?.scsi?.identity
        if (identity === undefined) return failed(1, `'${device}' is not a valid argument\n`)
        multipathd.addWwid(identity.wwid)
        return answer(`wwid '${identity.wwid}' added\n`)
      }
      if (wwid === undefined) return failed(1, 'usage: multipath\n')
      return answer(`wwid '${wwid}' ${multipathd.removeWwid(wwid) ? 'removed' : 'not in wwids file'}\n`)
    },
  }
}

/** flock(1) on an open file, and what the kernel does when that file is closed. */
export interface FileLocks extends Program {
  /** The open file is gone, and its lock with it. */
  release(pid: number, descriptor: number): void
}

export function createFlockProgram(scheduler: Scheduler): FileLocks {
  /** By inode: a file that took the place of a removed one is another lock. */
  const held = new Map<number, OpenFile>()
  const waiting: { readonly file: OpenFile; readonly wake: () => void; readonly giveUp: () => void }[] = []
  return {
    release: (pid, descriptor) => {
      const given = waiting.findIndex(({ file }) => file.pid === pid && file.descriptor === descriptor)
      if (given >= 0) waiting.splice(given, 1)[0]?.giveUp()
      for (const [inode, holder] of held) {
        if (holder.pid !== pid || holder.descriptor !== descriptor) continue
        held.delete(inode)
        const next = waiting.findIndex(({ file }) => file.inode === inode)
        if (next >= 0) waiting.splice(next, 1)[0]?.wake()
      }
    },
    run: async (args, { descriptors }) => {
      const [file] = descriptors
      if (file === undefined) return failed(64, 'flock: bad file descriptor\n')
      const seconds = Number(readOptions(args, ['--exclusive']).get('--timeout'))
      if (!held.has(file.inode)) held.set(file.inode, file)
      else if (held.get(file.inode) !== file) {
        const gotIt = await new Promise<boolean>(resolve => {
          const stop = new AbortController()
          const entry = {
            file,
            wake: () => {
              stop.abort()
              held.set(file.inode, file)
              resolve(true)
            },
            giveUp: () => stop.abort(),
          }
          waiting.push(entry)
          scheduler.sleep(seconds * SECOND_MS, stop.signal).then(
            () => {
              waiting.splice(waiting.indexOf(entry), 1)
              resolve(false)
            },
            () => {}
          )
        })
        if (!gotIt) return answer('', 1)
      }
      return answer('')
    },
  }
}
