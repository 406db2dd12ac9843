import { LunError } from '../../core/error.ts'
import type { OperationOptions } from '../../core/options.ts'
import { type Command, failure } from '../../host/command.ts'
import { type Executor, run } from '../../host/executor.ts'
import { LAYOUT } from './layout.ts'

/** Who has block-iscsi: nobody but its package, we, or somebody else. */
export type Diversion = 'none' | 'ours' | 'foreign'

const FILE = LAYOUT.blockIscsi
const AWAY = LAYOUT.divertedBlockIscsi
const OURS = ['--local', '--rename', '--divert', AWAY] as const

/** @throws {@link LunError} `COMMAND_NOT_FOUND` where there is no dpkg, `COMMAND_FAILED` */
export async function readDiversion(executor: Executor, root: string, options: OperationOptions): Promise<Diversion> {
  const by = await run(executor, divert(root, ['--listpackage', FILE]), options)
  if (by === '') return 'none'
  const to = await run(executor, divert(root, ['--truename', FILE]), options)
  return by === 'LOCAL' && to === AWAY ? 'ours' : 'foreign'
}

/** Moves Xen's block-iscsi away, now and in every later version of its package; fine when that is so already. */
export function addDiversion(root: string): Command<string> {
  return divert(root, [...OURS, '--add', FILE])
}

/** Only says whether {@link addDiversion} would work. */
export function tryDiversion(root: string): Command<string> {
  return divert(root, ['--test', ...OURS, '--add', FILE])
}

/** Moves it back; fine when there is nothing to be moved. Ours has to be gone by then. */
export function removeDiversion(root: string): Command<string> {
  return divert(root, [...OURS, '--remove', FILE])
}

// dpkg-divert(1): 0 done or nothing to be done, 2 refused or failed. There is no other.
function divert(root: string, args: readonly string[]): Command<string> {
  const words = { file: 'dpkg-divert', args: [...(root === '' ? [] : ['--root', root]), '--quiet', ...args] }
  return {
    ...words,
    decode: result => {
      if (result.exitCode === 0) return result.stdout.trim()
      const details = failure(words, result)
      throw new LunError('COMMAND_FAILED', `${details.command} failed: ${details.stderr}`, details)
    },
  }
}
