import { until } from './until.ts'
import { readVolume } from './volumes.ts'

// The writer is image/domu/init.
const blockSize = 4096
const logOffset = 1024 * 1024
const logBlocks = 7936
const beatOffset = 8 * 512
const filler = '0123456789abcdefghijklmnopqrstuvwxyzABCDE'

export interface BeatLog {
  /** The guest has been told that this many blocks are on the disk. */
  readonly beats: number
  /** The guest's names of the disk, in the order in which they appear; one name, unless it was attached as another. */
  readonly writers: readonly string[]
}

export interface WaitForBeatOptions {
  /** The beat must get beyond this; 0, if left out. */
  readonly after?: number
  readonly timeoutMs?: number
}

/** The counter that a guest keeps on its disk; 0 before the first. */
export const readBeat = async (volume: string): Promise<number> => {
  const text = (await readVolume(volume, beatOffset, 512)).toString('latin1')
  const match = /^beat (\d+)\n/.exec(text)
  return match === null ? 0 : Number(match[1])
}

/** Resolves with the beat, when the guest has written a newer one. */
export const waitForBeat = (
  volume: string,
  { after = 0, timeoutMs = 60_000 }: WaitForBeatOptions = {}
): Promise<number> => {
  const probe = async (): Promise<number | false> => {
    const beat = await readBeat(volume)
    return beat > after && beat
  }
  return until(`a beat after ${after} on volume ${volume}`, probe, { timeoutMs })
}

const expectedBlock = (index: number, writer: string): Buffer =>
  Buffer.from(`block ${1_000_000_000 + index} ${writer} ${filler}\n`.repeat(blockSize / 64), 'latin1')

const writerOf = (block: Buffer): string => /^xvd[a-z]$/.exec(block.toString('latin1', 17, 21))?.[0] ?? '????'

const firstDifference = (left: Buffer, right: Buffer): number => left.findIndex((byte, at) => byte !== right[at])

/** Checks every byte of every block that the guest believes it has written, and is still there. */
export const verifyLog = async (volume: string): Promise<BeatLog> => {
  const beats = await readBeat(volume)
  const writers = new Set<string>()
  // The block after the last counted one may just be being written, over the oldest.
  const oldest = Math.max(0, beats - logBlocks + 1)
  for (let index = oldest; index < beats; index += 1) {
    const offset = logOffset + (index % logBlocks) * blockSize
    const block = await readVolume(volume, offset, blockSize)
    const writer = writerOf(block)
    const expected = expectedBlock(index, writer)
    if (!block.equals(expected)) {
      const at = firstDifference(block, expected)
      const found = JSON.stringify(block.toString('latin1', 0, 64))
      throw new Error(
        `volume ${volume}: block ${index} of ${beats} is wrong from its byte ${at} on, it begins ${found}`
      )
    }
    writers.add(writer)
  }
  return { beats, writers: [...writers] }
}
