import { LunError } from '../../core/error.ts'
import { type Command, failure } from '../../host/command.ts'
import { run } from '../../host/executor.ts'
import { draftOf, type Files } from '../../host/files.ts'
import type { Host } from '../../host/host.ts'
import { SERVE } from '../../hotplug/room.ts'
import { NODE_FLAGS, SYSTEM_PATH } from './launcher.ts'
import { LAYOUT } from './layout.ts'
import { type FileOutcome, statFile } from './places.ts'
import type { InstallStep } from './steps.ts'

/** The block script's startup snapshot: node's memory with the bundle loaded, from which it starts in half the time or less. */
export interface Snapshot {
  readonly path: string
  readonly draft: string
  /** One is there already. */
  readonly isThere: boolean
  /** What a crash has left. */
  readonly hasDraft: boolean
}

/** Slow emulation included: node takes a few times its own start. */
const MAKE_MS = 180_000
const PROVE_MS = 60_000

/** @throws {@link LunError} `FOREIGN_FILE` */
export async function findSnapshot(files: Files, root: string): Promise<Snapshot> {
  const path = `${root}${LAYOUT.blockSnapshot}`
  const draft = draftOf(path)
  const [found, left] = [await statFile(files, path), await statFile(files, draft)]
  return { path, draft, isThere: found !== undefined, hasDraft: left !== undefined }
}

/** Without it the launcher runs the bundle, so no snapshot of an older bundle is ever run beside a new one. */
export function removingSnapshot(files: Files, { path, draft, isThere, hasDraft }: Snapshot): readonly InstallStep[] {
  return [...(isThere ? [path] : []), ...(hasDraft ? [draft] : [])].map(each => ({
    name: `remove ${each}`,
    run: async () => await files.remove(each),
  }))
}

export type SnapshotResult = { readonly outcome: FileOutcome } | { readonly problem: string }

/**
 * Makes it, proves that it runs, and only then puts it in its place. What keeps it from that is told and no failure: the
 * launcher does without. The old one must be gone.
 */
export async function makeSnapshot(
  { executor, files }: Pick<Host, 'executor' | 'files'>,
  node: string,
  bundle: string,
  { path, draft, isThere }: Snapshot
): Promise<SnapshotResult> {
  try {
    await run(executor, makingSnapshot(node, bundle, draft))
    await run(executor, provingSnapshot(node, draft))
    await files.sync(draft)
    await files.link(draft, path)
    return { outcome: { path, outcome: isThere ? 'updated' : 'placed' } }
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) }
  } finally {
    await files.remove(draft).catch(() => {}) // the next run does
  }
}

function makingSnapshot(node: string, bundle: string, draft: string): Command<void> {
  return fresh(node, ['--snapshot-blob', draft, '--build-snapshot', bundle], MAKE_MS, exitCode => exitCode === 0)
}

/**
 * To serve, but not where: the script does nothing but say that it got this word, and ends with 1; as node does by itself
 * where nothing is said.
 */
function provingSnapshot(node: string, snapshot: string): Command<void> {
  const said = new RegExp(`^block-xen-lun: argument: "${SERVE}" [^\\n]*\\n$`)
  return fresh(
    node,
    ['--snapshot-blob', snapshot, SERVE],
    PROVE_MS,
    (exitCode, { stdout, stderr }) => exitCode === 1 && stdout === '' && said.test(stderr)
  )
}

/** As the launcher starts it: NODE_OPTIONS of whoever installs would make a snapshot that fits no run of the launcher. */
function fresh(
  node: string,
  args: readonly string[],
  timeoutMs: number,
  isWell: (exitCode: number, said: { readonly stdout: string; readonly stderr: string }) => boolean
): Command<void> {
  const words = {
    file: 'env',
    args: ['-i', `PATH=${SYSTEM_PATH}`, 'LC_ALL=C', node, ...NODE_FLAGS, ...args],
    timeoutMs,
  }
  return {
    ...words,
    decode: result => {
      if (isWell(result.exitCode, result)) return
      const details = failure(words, result)
      throw new LunError('COMMAND_FAILED', `${details.command}: exit status ${result.exitCode}`, details)
    },
  }
}
