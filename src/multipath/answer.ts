import { LunError } from '../core/error.ts'
import { type Command, type CommandResult, describe } from '../host/command.ts'

/** What multipathd said: its first line, and all of it. */
export interface Answer {
  /** `ok`, `fail`, `device not found`, … or the start of a listing. */
  readonly word: string
  readonly text: string
  readonly hasFailed: boolean
}

type Words = Pick<Command<unknown>, 'file' | 'args'>

// The daemon's own word when it could not take its lock in time (multipathd/uxlsnr.c), and what the client prints
// when the daemon stays silent or goes away (multipathd/uxclnt.c). It may have done what it was told, or do it later.
const NO_ANSWER = /^(?:timeout|timeout receiving packet|error -?\d+ receiving packet|cannot send packet)$/
const WORD_CHARS = 200

/**
 * Reads the words of multipathd, which come on stdout. The exit code says little: 0.9.4 exits 1 for `fail` only,
 * 0.11.1 for every refusal, and `timeout` exits 0 in both (seen with 0.11.1's client).
 *
 * @throws {@link LunError} `MULTIPATHD_NOT_RUNNING`, `MULTIPATHD_TIMEOUT`
 */
export function readAnswer(words: Words, { exitCode, stdout }: CommandResult): Answer {
  const command = describe(words)
  const word = (stdout.trimStart().split('\n', 1)[0] ?? '').trim().slice(0, WORD_CHARS)
  // The client that cannot connect prints nothing on stdout: captures a-basic/023, multipathd/uxclnt.c.
  if (exitCode !== 0 && word === '') {
    throw new LunError('MULTIPATHD_NOT_RUNNING', `multipathd does not run: ${command}`, { command })
  }
  if (NO_ANSWER.test(word)) {
    throw new LunError('MULTIPATHD_TIMEOUT', `multipathd gave no answer to: ${command} (${word})`, {
      command,
      answer: word,
    })
  }
  return { word, text: stdout, hasFailed: exitCode !== 0 || word === 'fail' }
}

/** The error for an answer that means no. */
export function refused(words: Words, { word }: Pick<Answer, 'word'>): LunError<'MULTIPATHD_REFUSED'> {
  const command = describe(words)
  return new LunError('MULTIPATHD_REFUSED', `multipathd refused: ${command}: ${word}`, { command, answer: word })
}

/** A listing. @throws {@link LunError} `MULTIPATHD_REFUSED`, `MULTIPATHD_NOT_RUNNING`, `MULTIPATHD_TIMEOUT` */
export function readListing(words: Words, result: CommandResult): string {
  const answer = readAnswer(words, result)
  if (answer.hasFailed) throw refused(words, answer)
  return answer.text
}
