import { isLunError } from '../core/error.ts'
import { holderOf } from '../flow/link-lock.ts'
import { until } from '../flow/until.ts'
import { run } from '../host/executor.ts'
import type { Host } from '../host/host.ts'
import { isAlive } from '../host/process-id.ts'
import { DB_LOCK, DB_LOCK_FOLDER } from '../iscsi/db-lock.ts'
import { isIscsidListening } from '../iscsi/iscsid.ts'
import { showVersion } from '../iscsi/version.commands.ts'
import type { Check } from './facts.ts'
import { error, type Observation, ok, warning } from './finding.ts'

export const checkOpenIscsi: Check = async ({ host, signal }) => {
  try {
    return [ok(`iscsiadm is there, version ${await run(host.executor, showVersion(), { signal })}.`)]
  } catch (problem) {
    if (!isLunError(problem, 'COMMAND_NOT_FOUND')) throw problem
    return [error('iscsiadm is not installed.', 'Install open-iscsi; without it no LUN can be attached.')]
  }
}

export const checkIscsid: Check = async ({ host }) => {
  if (await isIscsidListening(host.files)) return [ok('iscsid, or systemd for it, listens for iscsiadm.')]
  return [
    error(
      'iscsid does not run: nobody listens on its socket.',
      'Start iscsid (systemctl start iscsid); sessions that are lost come back only with it.'
    ),
  ]
}

const LOCK = `${DB_LOCK_FOLDER}/${DB_LOCK}`
// iscsiadm and this library hold it for some ms for each record they write.
const HELD_TOO_LONG_MS = 2000

/** A killed iscsiadm leaves the lock behind, and every later one waits 30 s for it: open-iscsi usr/idbm.c, idbm_lock(). */
export const checkDatabaseLock: Check = async ({ host, signal }) => {
  const { files, clock } = host
  const stateOf = async (): Promise<string | undefined> =>
    (await files.stat(LOCK)) === undefined ? undefined : `${(await files.stat(DB_LOCK_FOLDER))?.mtimeMs}`
  const first = await stateOf()
  if (first === undefined) return [ok('Nobody holds the lock of the node database.')]
  try {
    // Taking and releasing both change the folder, so an unchanged one has had the same holder all along.
    const moves = async (): Promise<boolean> => (await stateOf()) !== first
    await until(clock, moves, { awaited: `the release of ${LOCK}`, timeoutMs: HELD_TOO_LONG_MS, everyMs: 50, signal })
    return [ok('The lock of the node database is in use, and passed on.')]
  } catch (problem) {
    if (!isLunError(problem, 'TIMEOUT') || signal.aborted) throw problem
    return [await heldLong(host)]
  }
}

async function heldLong({ files }: Pick<Host, 'files'>): Promise<Observation> {
  const holder = await holderOf(files, LOCK)
  if (holder === undefined) {
    const message = `The lock of the node database has had one holder for over ${HELD_TOO_LONG_MS / 1000} s.`
    return warning(message, `If no iscsiadm is running, a killed one left it behind: remove ${LOCK}.`, LOCK)
  }
  if (await isAlive(files, holder)) {
    const message = `Process ${holder.pid}, a user of this library, has held the lock of the node database for over ${HELD_TOO_LONG_MS / 1000} s.`
    return warning(message, `See what process ${holder.pid} waits for; iscsiadm waits for it.`, LOCK)
  }
  const message = `Process ${holder.pid} of this library died with the lock of the node database.`
  return warning(message, `Attach or detach any LUN, which takes the lock away, or remove ${LOCK}.`, LOCK)
}
