import { formatPortal } from '../core/portal.ts'
import type { BrokenRecord, NodeRecord } from '../iscsi/node-db-read.ts'
import type { Check } from './facts.ts'
import { error, type Observation, orOk, warning } from './finding.ts'

/** open-iscsi reads every record for every `iscsiadm -m node`: usr/idbm.c, idbm_for_each_node(). */
export const checkRecordsWhole: Check = async ({ host, nodeDb, records }) => {
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
  return orOk([...nodes, ...discoveries], 'Every record of the iSCSI database can be read.')
}

/** open-iscsi etc/iscsid.conf, "Startup settings". */
export const checkStartup: Check = async ({ records }) => {
  const found = (await records()).records.flatMap(record => {
    if (record.startup !== 'automatic' && record.startup !== 'onboot') return []
    const message = `The host logs in to ${record.target} at boot by itself (node.startup = ${record.startup}).`
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
