import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'

const stdout = 1

/** Prints one line, which is out when this returns, whatever happens to the process then. */
export const say = (value: unknown): void => {
  writeSync(stdout, `${JSON.stringify(value)}\n`)
}

/** The lines a program is given, until its standard input ends. */
export const heard = (): AsyncIterable<string> => createInterface({ input: process.stdin })
