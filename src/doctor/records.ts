import { isLunError } from '../core/error.ts'
import { formatPortal } from '../core/portal.ts'
import { printable } from '../core/printable.ts'
import { run } from '../host/executor.ts'
import { listNodes } from '../iscsi/node.commands.ts'
import type { BrokenRecord, NodeRecord } from '../iscsi/node-db-read.ts'
import type { Check, Facts } from './facts.ts'
import { error, type Observation, orOk, unknown, warning } from './finding.ts'

/** open-iscsi reads every record for every `iscsiadm -m node`: usr/idbm.c, idbm_for_each_node(). */
export const checkRecordsWhole: Check = async facts => {
  const { host, nodeDb, records } = facts
  const describe = async ({ path, line, reason }: BrokenRecord): Promise<Observation> => {
    const isEmpty = (await host.files.stat(path))?.sizeBytes === 0
    const advice = 'Remove the file; attaching or discovering makes a new one.'
    if (isEmpty) return warning('A node record is empty: iscsiadm -m node lists it as a row of nothing.', advice, path)
    return error(`A node record ${reason} (line ${line}); one such can make every iscsiadm -m node fail.`, advice, path)
  }
  const discoveries = (await nodeDb.discoveryRecords()).broken.map(({ path, line, reason }) =>
    warning(`A discovery record ${reason} (line ${line}).`, 'Remove the file; a discovery makes a new one.', path)
  )
  const nodes = await Promise.all((await records()).broken.map(describe))
  // What we find is what it fails at.
  const refused = nodes.some(({ level }) => level === 'error') ? [] : await askIscsiadm(facts)
  return orOk([...nodes, ...discoveries, ...refused], 'Every record of the iSCSI database can be read.')
}

/** Whether a record is good, iscsiadm says: a later or earlier version of it may have written what this one does not know. */
async function askIscsiadm({ host, signal }: Facts): Promise<readonly Observation[]> {
  try {
    await run(host.executor, listNodes(), { signal })
    return []
  } catch (problem) {
    signal.throwIfAborted()
    if (isLunError(problem, 'COMMAND_NOT_FOUND')) return []
    if (!isLunError(problem, 'ISCSI_DB_BROKEN'))
      return [unknown(`iscsiadm -m node did not list: ${messageOf(problem)}.`)]
    const message = `iscsiadm -m node fails at a record (exit ${problem.details.exitCode}): ${printable(problem.details.stderr)}`
    return [error(message, 'Take out of the records what it does not know, or discover anew what it wrote itself.')]
  }
}

function messageOf(problem: unknown): string {
  return problem instanceof Error ? problem.message : String(problem)
}

const CHANGED =
  ' Its record is changed as long as a LUN of it is attached: after a boot meanwhile no disk of it comes by itself.'

/** open-iscsi etc/iscsid.conf, "Startup settings". */
export const checkStartup: Check = async ({ records, journal }) => {
  const targets = await Promise.all((await journal.targets()).map(async target => await journal.tryTarget(target)))
  const changed = targets.flatMap(noted =>
    'reason' in noted ? [] : noted.changes.flatMap(({ path, made }) => (made === undefined ? [path] : []))
  )
  const found = (await records()).records.flatMap(record => {
    if (record.startup !== 'automatic' && record.startup !== 'onboot') return []
    const message = `The host logs in to ${record.target} at boot by itself (node.startup = ${record.startup}).${changed.includes(record.path) ? CHANGED : ''}`
    return [warning(message, update(record, 'node.startup'), record.path)]
  })
  return orOk(found, 'No node record logs in at boot by itself.')
}

/** open-iscsi etc/iscsid.conf, node.session.scan: a record that does not say it scans. */
export const checkScan: Check = async ({ records }) => {
  const found = (await records()).records.flatMap(record => {
    if (record.scan === 'manual') return []
    const message = `A login to ${record.target} brings every LUN of it into dom0 (node.session.scan = ${record.scan ?? 'auto'}).`
    return [warning(message, update(record, 'node.session.scan'), record.path)]
  })
  return orOk(found, 'Every node record leaves scanning to whoever attaches a LUN.')
}

function update({ target, portal }: NodeRecord, setting: string): string {
  const record = `-T ${target} -p ${formatPortal(portal)}`
  return `Unless that is wanted: iscsiadm -m node ${record} -o update -n ${setting} -v manual.`
}
