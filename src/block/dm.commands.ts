import { LunError } from '../core/error.ts'
import { type Command, failure } from '../host/command.ts'

/** How often each device-mapper device is open, by its number: `253:0`. What is stacked on one has it open, too. */
export type OpenCounts = ReadonlyMap<string, number>

/** Asks the kernel how often its device-mapper devices are open. By numbers: a name may hold anything. */
export function openCounts(): Command<OpenCounts> {
  const words = {
    file: 'dmsetup',
    args: ['info', '--columns', '--noheadings', '--separator', ':', '--options', 'major,minor,open'],
  }
  return {
    ...words,
    decode: result => {
      if (result.exitCode === 0) return parseOpenCounts(result.stdout)
      const details = failure(words, result)
      throw new LunError('COMMAND_FAILED', `${details.command} failed: ${details.stderr}`, details)
    },
  }
}

const LINE = /^(\d{1,10}):(\d{1,10}):(\d{1,10})$/

function parseOpenCounts(text: string): OpenCounts {
  const counts = new Map<string, number>()
  for (const [index, line] of text.trimEnd().split('\n').entries()) {
    if (line === 'No devices found' || line === '') continue
    const [, major, minor, open] = LINE.exec(line.trim()) ?? []
    if (open === undefined) {
      const details = { tool: 'dmsetup', line: index + 1, text: line.slice(0, 200) }
      throw new LunError('UNEXPECTED_OUTPUT', `dmsetup info: line ${index + 1} is no count`, details)
    }
    counts.set(`${major}:${minor}`, Number(open))
  }
  return counts
}
