import { invalid } from '../../core/check.ts'
import type { OperationOptions } from '../../core/options.ts'
import { type Command, failure } from '../../host/command.ts'
import { run } from '../../host/executor.ts'
import type { Files } from '../../host/files.ts'
import type { Host } from '../../host/host.ts'
import type { Self } from '../io.ts'

// Gone with a user, a reboot or a clean-up, and writable for others than root.
const FLEETING = ['/home', '/root', '/tmp', '/var/tmp', '/dev/shm', '/run', '/var/run']
/** package.json, engines. */
const OLDEST = [20, 19] as const

export interface NodeRequest {
  readonly self: Pick<Self, 'nodePath' | 'home'>
  /** What the caller asks for, wherever it is. */
  readonly wanted: string | undefined
  /** Where it is to run is another system, which cannot be looked at. */
  readonly isStaged: boolean
}

/** The node that is to run the block script. @throws {@link LunError} `INVALID_INPUT` */
export async function chooseNode(
  host: Host,
  { self, wanted, isStaged }: NodeRequest,
  { signal }: OperationOptions
): Promise<string> {
  const node = wanted ?? self.nodePath
  // env would take a path with = for a variable.
  if (!/^\/[\x20-\x3c\x3e-\x7e]+$/.test(node))
    throw invalid('node', node, 'is not an absolute path of plain characters')
  if (wanted === undefined) {
    const home = self.home === undefined || self.home === '/' ? [] : [self.home]
    const folder = [...FLEETING, ...home].find(each => node.startsWith(`${each}/`))
    if (folder === undefined) return node
    throw invalid('node', node, `is below ${folder}, which guests should not depend on; name another one with --node`)
  }
  if (isStaged) return node
  if (!(await isExecutable(host.files, node))) throw invalid('node', node, 'is no executable file')
  const version = await run(host.executor, nodeVersion(node), { signal })
  if (isOlder(version)) throw invalid('node', node, `says it is ${version || 'nothing'}; it has to be 20.19 or newer`)
  return node
}

export async function isExecutable(files: Files, path: string): Promise<boolean> {
  const stat = await files.stat(path)
  return stat?.kind === 'file' && (stat.mode & 0o111) !== 0
}

/** `v20.19.0`; empty for what is no node. */
function nodeVersion(node: string): Command<string> {
  const words = { file: node, args: ['--version'], timeoutMs: 10_000 }
  return {
    ...words,
    decode: result => {
      const { exitCode, stderr } = failure(words, result)
      if (exitCode !== 0) throw invalid('node', node, `does not run: ${stderr}`)
      return result.stdout.trim()
    },
  }
}

function isOlder(version: string): boolean {
  const [, major = '0', minor = '0'] = /^v(\d{1,4})\.(\d{1,4})\./.exec(version) ?? []
  return Number(major) < OLDEST[0] || (Number(major) === OLDEST[0] && Number(minor) < OLDEST[1])
}
