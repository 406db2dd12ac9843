import { describe } from '../../host/command.ts'
import type { Io } from '../io.ts'
import { removeDiversion } from './divert.ts'
import { checkInside, DIVERTED } from './inside.ts'
import { findDiversion, type Installation } from './install.ts'
import { findKeptNotes, NOTE_FOLDERS } from './kept-notes.ts'
import { LAYOUT, MARKERS, PLACES } from './layout.ts'
import { isMarked, lookAt, removing, rootOf } from './places.ts'
import { findSnapshot, removingSnapshot } from './snapshot.ts'
import { commandSteps, runSteps } from './steps.ts'
import { disableUnits, forgetUnits, isSystemdRunning } from './systemd.ts'

/**
 * Removes what {@link install} has placed, and gives block-iscsi back. Folders stay, but for those that are ours alone. What
 * is noted of open-iscsi's records stays, too: without it they could not be put back.
 *
 * @throws {@link LunError} `INVALID_INPUT`, `FOREIGN_FILE`, `COMMAND_FAILED`, `INSTALL_INCOMPLETE`
 */
export async function uninstall({ host, signal }: Io, prefix: string | undefined): Promise<Installation> {
  const { files, executor } = host
  const root = rootOf(prefix)
  await checkInside(files, root)
  await checkInside(files, root, NOTE_FOLDERS)
  const parts = await Promise.all(
    PLACES.map(async ([place, marker]) => {
      const path = `${root}${place}`
      return removing(files, path, await lookAt(files, path, marker))
    })
  )
  const snapshot = await findSnapshot(files, root)
  const kept = await findKeptNotes(files, root)
  const diversion = await findDiversion(host, root, signal)
  const iscsi = `${root}${LAYOUT.blockIscsi}`
  // Where nothing of ours is diverted it is Xen's, and none of our business.
  const isOurs = diversion === 'ours' || isMarked((await files.read(iscsi)) ?? '', MARKERS.blockLauncher)
  if (isOurs) await checkInside(files, root, DIVERTED)
  const given = isOurs ? [removing(files, iscsi, await lookAt(files, iscsi, MARKERS.blockLauncher))] : []
  const diverting = diversion === 'ours' ? [removeDiversion(root)] : []
  const hasUnits = parts.some(({ outcome }) => outcome.path.includes('/systemd/') && outcome.outcome === 'removed')
  const isLive = root === '' && hasUnits && (await isSystemdRunning(files))
  const [before, after] = isLive ? [disableUnits(), forgetUnits()] : [[], []]
  signal.throwIfAborted()
  await runSteps([
    ...commandSteps(executor, before),
    ...given.flatMap(({ steps }) => steps),
    ...commandSteps(executor, diverting),
    ...removingSnapshot(files, snapshot),
    // Last come the bundles, without which the launchers would start nothing.
    ...parts.toReversed().flatMap(({ steps }) => steps),
    ...commandSteps(executor, after),
    { name: `remove ${root}${LAYOUT.folder}`, run: async () => await files.removeDirectory(`${root}${LAYOUT.folder}`) },
    ...kept.steps,
  ])
  return {
    files: [
      ...[...parts, ...given].map(({ outcome }) => outcome),
      { path: snapshot.path, outcome: snapshot.isThere ? 'removed' : 'absent' },
    ],
    commands: [...before, ...diverting, ...after].map(describe),
    notes: kept.count > 0 ? [keptNote(kept.count, root)] : [],
  }
}

function keptNote(count: number, root: string): string {
  return `${count} notes stay in ${root}/var/lib/xen-lun, with secrets: by them xen-lun reconcile --apply, once it is back, deletes records of open-iscsi that were made for guests, and puts back what was changed in others`
}
