import { LunError } from '../../core/error.ts'
import { findXapi } from '../../doctor/xen.ts'
import { describe } from '../../host/command.ts'
import { run } from '../../host/executor.ts'
import type { Host } from '../../host/host.ts'
import type { Io } from '../io.ts'
import { addDiversion, type Diversion, readDiversion, tryDiversion } from './divert.ts'
import { planFiles } from './files.ts'
import { checkInside, DIVERTED } from './inside.ts'
import { LAYOUT, MARKERS, type OwnFile } from './layout.ts'
import { chooseNode, isExecutable } from './node-path.ts'
import { type FileOutcome, foreign, isMarked, lookAt, placing, removing, rootOf } from './places.ts'
import { findSnapshot, makeSnapshot, removingSnapshot, type Snapshot } from './snapshot.ts'
import { commandSteps, type InstallStep, runSteps } from './steps.ts'
import { enableUnits, isSystemdRunning } from './systemd.ts'

export interface InstallRequest {
  readonly prefix: string | undefined
  readonly node: string | undefined
  /** Also takes the place of block-iscsi; once taken it is kept. */
  readonly isDiverting: boolean
  readonly isForcedOnXapi: boolean
}

/** What was done to the host. */
export interface Installation {
  readonly files: readonly FileOutcome[]
  /** Those that changed something, or made sure of it. */
  readonly commands: readonly string[]
  /** What was left out, and why. */
  readonly notes: readonly string[]
}

type Part = { readonly outcome: FileOutcome; readonly steps: readonly InstallStep[] }

/**
 * Looks at everything first, so that whatever is in the way is told before anything is touched; then writes what is not
 * there yet, or not as it should be.
 *
 * @throws {@link LunError} `XAPI_HOST`, `INVALID_INPUT`, `BUNDLE_MISSING`, `FOREIGN_FILE`, `COMMAND_NOT_FOUND`,
 * `COMMAND_FAILED`, `INSTALL_INCOMPLETE`
 */
export async function install({ host, self, signal }: Io, request: InstallRequest): Promise<Installation> {
  const { files, executor } = host
  const root = rootOf(request.prefix)
  await checkInside(files, root)
  const xapi = await findXapi(files, root)
  if (xapi !== undefined && !request.isForcedOnXapi) throw xapiHost(xapi)
  const node = await chooseNode(host, { self, wanted: request.node, isStaged: root !== '' }, { signal })
  const planned = await planFiles(files, { folder: self.folder, root, node })
  const parts: Part[] = []
  for (const file of planned) parts.push(placing(files, file, await lookAt(files, file.path, file.marker)))
  const snapshot = await findSnapshot(files, root)
  const diversion = await findDiversion(host, root, signal)
  const isTaken = request.isDiverting || diversion === 'ours'
  if (isTaken) await checkInside(files, root, DIVERTED)
  const taking = isTaken ? await takeBlockIscsi(host, root, diversion, planned, signal) : undefined
  const units = root === '' && (await isSystemdRunning(files)) ? enableUnits() : []
  const notes =
    units.length > 0
      ? []
      : [`the units are not enabled: ${root === '' ? 'systemd does not run' : 'they are below a prefix'}`]
  signal.throwIfAborted()
  await runSteps([
    ...removingSnapshot(files, snapshot),
    ...parts.flatMap(part => part.steps),
    ...(taking?.steps ?? []),
    ...commandSteps(executor, units),
  ])
  // Last, since everything works without it.
  const made = await snapshotFor(host, root, { node, isGiven: request.node !== undefined }, snapshot)
  return {
    files: [...parts.map(({ outcome }) => outcome), ...(taking === undefined ? [] : [taking.outcome]), ...made.files],
    commands: [...(isTaken && diversion === 'none' ? [describe(addDiversion(root))] : []), ...units.map(describe)],
    notes: [...notes, ...made.notes],
  }
}

/** A node below a prefix is another system's, unless it is named and there is one here of that name. */
async function snapshotFor(
  host: Host,
  root: string,
  { node, isGiven }: { readonly node: string; readonly isGiven: boolean },
  snapshot: Snapshot
): Promise<Pick<Installation, 'files' | 'notes'>> {
  const isHere = root === '' || (isGiven && (await isExecutable(host.files, node)))
  const made = isHere
    ? await makeSnapshot(host, node, `${root}${LAYOUT.blockBundle}`, snapshot)
    : { problem: `it is made by the node that runs it: run xen-lun install-script there` }
  if ('outcome' in made) return { files: [made.outcome], notes: [] }
  const { path, isThere } = snapshot
  return {
    files: isThere ? [{ path, outcome: 'removed' }] : [],
    notes: [`no startup snapshot, so the block script starts in more time: ${made.problem}`],
  }
}

/** Without dpkg's own files nothing is diverted. */
export async function findDiversion(host: Host, root: string, signal: AbortSignal): Promise<Diversion | 'no-dpkg'> {
  const database = await host.files.stat(`${root}/var/lib/dpkg`)
  return database?.kind === 'directory' ? await readDiversion(host.executor, root, { signal }) : 'no-dpkg'
}

async function takeBlockIscsi(
  { files, executor }: Host,
  root: string,
  diversion: Diversion | 'no-dpkg',
  planned: readonly OwnFile[],
  signal: AbortSignal
): Promise<Part> {
  const path = `${root}${LAYOUT.blockIscsi}`
  const marker = MARKERS.blockLauncher
  const launcher = planned.find(file => file.marker === marker)
  const file = { path, marker, mode: 0o755, text: launcher?.text ?? '' }
  if (diversion === 'no-dpkg') throw noDpkg(root)
  if (diversion === 'foreign') throw foreign(path, 'is diverted by somebody else: dpkg-divert --list tells')
  if (diversion === 'ours') return placing(files, file, await lookAt(files, path, marker))
  // Ours without a diversion, left of one that somebody has removed: it must not be moved away as if it were Xen's.
  const isOurs = isMarked((await files.read(path)) ?? '', marker)
  const clearing = isOurs ? removing(files, path, await lookAt(files, path, marker)).steps : []
  if (!isOurs) await run(executor, tryDiversion(root), { signal })
  const { outcome, steps } = placing(files, file, undefined)
  return { outcome, steps: [...clearing, ...commandSteps(executor, [addDiversion(root)]), ...steps] }
}

function xapiHost(path: string): LunError<'XAPI_HOST'> {
  return new LunError('XAPI_HOST', `${path} is there: xapi manages the storage of this host`, { path })
}

function noDpkg(root: string): LunError<'COMMAND_NOT_FOUND'> {
  const message = `block-iscsi cannot be diverted: there is no dpkg-divert, nor ${root}/var/lib/dpkg`
  return new LunError('COMMAND_NOT_FOUND', message, { file: 'dpkg-divert' })
}
