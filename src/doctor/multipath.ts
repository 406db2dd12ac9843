import type { ConfigSection, MultipathConfig } from '../multipath/config.parse.ts'
import type { Check } from './facts.ts'
import { error, type Observation, ok, orOk, unknown, warning } from './finding.ts'

const CONF = '/etc/multipath.conf'
const CONF_FOLDER = '/etc/multipath/conf.d'

export const checkMultipathd: Check = async ({ multipath, signal }) => {
  if (await multipath.isRunning({ signal })) return [ok('multipathd answers.')]
  const advice =
    'Install multipath-tools and start multipathd, or attach with multipath: "never"; maps that are there fail no path over now.'
  return [error('multipathd does not run.', advice)]
}

export const checkMultipathConf: Check = async ({ host }) => {
  const { files } = host
  const parts = (await files.list(CONF_FOLDER)).filter(name => name.endsWith('.conf'))
  if (parts.length > 0 || (await files.stat(CONF)) !== undefined) return [ok('multipath-tools are configured.')]
  const advice = `Write one, with find_multipaths, user_friendly_names and no_path_retry as they are wanted; some distributions start no multipathd without it.`
  return [warning(`There is no ${CONF}: multipathd goes by what it was built with.`, advice, CONF)]
}

/** multipath.conf(5), find_multipaths. */
export const checkFindMultipaths: Check = async ({ config }) => {
  const { findMultipaths } = await config()
  if (findMultipaths === 'off' || findMultipaths === 'greedy') return [ok('A LUN gets its map from the first path on.')]
  if (findMultipaths === 'unknown') return [unknown('multipathd says nothing of find_multipaths that is known here.')]
  const message = `A LUN with a single path waits for its map (find_multipaths ${findMultipaths}), unless its WWID is in the wwids file.`
  const advice = `attachLun adds the WWID itself; set find_multipaths off in ${CONF} for what is attached in other ways.`
  return [warning(message, advice)]
}

/** multipath.conf(5), user_friendly_names. */
export const checkFriendlyNames: Check = async ({ config }) => {
  if (!(await config()).hasFriendlyNames) return [ok('Maps are called by their WWIDs, on every host the same.')]
  const message =
    'Maps are called mpatha, mpathb, … (user_friendly_names yes): on another host the same name is another LUN.'
  const advice = `Set user_friendly_names no in ${CONF}, or give guests /dev/disk/by-id/dm-uuid-mpath-WWID and never a name.`
  return [warning(message, advice)]
}

const BOUND = `Set no_path_retry to a number in ${CONF}: so many checks I/O waits for a path, and fails then.`
const HANGS = 'for ever, and a detach needs force'

/** multipath.conf(5), no_path_retry; it is `fail` where nothing is said. */
export const checkNoPathRetry: Check = async ({ config, maps }) => {
  const configured = await config()
  const queueing = (await maps())
    // With a number, too, the kernel queues until multipathd has counted: it says "6 chk" or "13 sec" then.
    .filter(map => map.queuesIfNoPath && (map.queueing === 'on' || map.queueing === '-'))
    .map(({ name }) => warning(`I/O of the map ${name} waits for a path ${HANGS}.`, BOUND, name))
  return orOk([...policy(configured), ...queueing], `I/O without a path waits for ${configured.noPathRetry} checks.`)
}

function policy({ noPathRetry, sections }: MultipathConfig): readonly Observation[] {
  const isOverridden = sections.some(({ name, values }) => name === 'overrides' && values.has('no_path_retry'))
  const special = isOverridden ? [] : sections.flatMap(section => section.sections).filter(isQueueing)
  const found = special.map(section => {
    const subject = titleOf(section)
    return warning(`I/O of ${subject} that finds no path waits ${HANGS} (no_path_retry queue).`, BOUND, subject)
  })
  if (noPathRetry === 'queue') {
    return [warning(`I/O that finds no path waits ${HANGS} (no_path_retry queue).`, BOUND), ...found]
  }
  if (noPathRetry === undefined || noPathRetry === 'fail' || noPathRetry === 0) {
    const message = 'I/O fails as soon as the last path is gone (no_path_retry fail): guests see errors at once.'
    return [warning(message, BOUND), ...found]
  }
  return found
}

function isQueueing({ name, values }: ConfigSection): boolean {
  if (name !== 'device' && name !== 'multipath') return false
  const retry = values.get('no_path_retry')?.at(-1)
  const features = values.get('features')?.at(-1) ?? ''
  return retry === 'queue' || (retry === undefined && features.split(/\s+/).includes('queue_if_no_path'))
}

function titleOf({ values }: ConfigSection): string {
  const word = (key: string): string => values.get(key)?.at(-1) ?? ''
  return word('wwid') || `${word('vendor')} ${word('product')}`.trim()
}
