import { lstatSync, readFileSync } from 'node:fs'
import { listFiles } from './files.ts'

const isPlainFile = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false })?.isFile() === true

const holds = (path: string, texts: readonly string[]): boolean => {
  try {
    const content = readFileSync(path)
    return texts.some(text => content.includes(text))
  } catch (error) {
    // Removed meanwhile, or the name of a network namespace, which is a file that cannot be read.
    if (error instanceof Error && 'code' in error && ['ENOENT', 'EINVAL'].includes(String(error.code))) return false
    throw error
  }
}

/** Sorted paths of all plain files below a directory that hold one of these texts. */
export const filesHolding = (directory: string, texts: readonly string[]): string[] =>
  listFiles(directory).filter(path => isPlainFile(path) && holds(path, texts))
