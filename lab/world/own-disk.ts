import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { createXenstore, type Host } from 'xen-lun'
import { readText } from './files.ts'
import { scriptLog } from './install.ts'
import { run, tryRun } from './run.ts'
import { until } from './until.ts'

/** How xl fared with a disk. */
export interface XlRun {
  readonly exitCode: number
  /** All that xl printed. */
  readonly text: string
  readonly tookMs: number
  /** What the block script wrote to its log meanwhile. */
  readonly log: string
}

/**
 * A disk that dom0 serves to itself, as it does for pygrub: xl, libxl, blkback and blkfront do all they do for a guest, and
 * no guest has to boot.
 */
export interface OwnDisk extends AsyncDisposable {
  readonly backend: string
  /** `xl block-attach`, whatever comes of it; xl passes its environment on to the block script. */
  attach(disk: string, env?: Readonly<Record<string, string>>): Promise<XlRun>
  /** `xl block-detach`; waits until nothing of it is in xenstore. */
  detach(): Promise<XlRun>
  /** What stands in the backend's directory. */
  key(name: string): Promise<string | undefined>
  /** The device node, as soon as it is connected. */
  device(): Promise<string>
}

const vdev = 'xvda'
const backend = 'backend/vbd/0/51712'

const xl = async (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<XlRun> => {
  const since = readText(scriptLog).length
  const startedMs = performance.now()
  const { exitCode, stdout, stderr } = await tryRun('xl', args, { timeoutMs: 120_000, env })
  const tookMs = Math.round(performance.now() - startedMs)
  const run = { exitCode, text: `${stdout}${stderr}`, tookMs, log: readText(scriptLog).slice(since).trim() }
  // Whatever else: the toolstack must never have to kill the script.
  assert.doesNotMatch(run.text, /killing execution/)
  return run
}

export const createOwnDisk = async ({ host }: { readonly host: Host }): Promise<OwnDisk> => {
  await run('modprobe', ['xen-blkfront'])
  const xenstore = createXenstore(host)
  return {
    backend,
    attach: (disk, env) => xl(['block-attach', '0', disk], env),
    detach: async () => {
      const done = await xl(['block-detach', '0', vdev])
      if (done.exitCode === 0) await until('the end of the backend', async () => !(await xenstore.exists(backend)))
      return done
    },
    // What a scenario that failed has left: the next one could not attach anything.
    [Symbol.asyncDispose]: async () => {
      if (await xenstore.exists(backend)) await tryRun('xl', ['block-detach', '--force', '0', vdev])
    },
    key: name => xenstore.tryRead(`${backend}/${name}`),
    device: async () => {
      const isThere = (): boolean => existsSync(`/dev/${vdev}`) && readText(`/sys/block/${vdev}/size`) !== '0'
      await until(`/dev/${vdev}`, isThere)
      return `/dev/${vdev}`
    },
  }
}
