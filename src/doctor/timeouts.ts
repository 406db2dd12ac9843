import type { Host } from '../host/host.ts'
import { linesOf } from '../iscsi/lines.ts'
import type { NodeRecord } from '../iscsi/node-db-read.ts'
import { readSettingLine } from '../iscsi/record.parse.ts'
import type { Check } from './facts.ts'
import { type Observation, ok, orOk, warning } from './finding.ts'

const ISCSID_CONF = '/etc/iscsi/iscsid.conf'
const SETTING = 'node.session.timeo.replacement_timeout'
// open-iscsi usr/config.h, DEF_REPLACEMENT_TIMEO
const BUILT_IN_S = 120
// multipath.conf(5), fast_io_fail_tmo
const FAST_IO_FAIL_S = 5
// Linux fails a guest's request after 30 s (/sys/block/*/device/timeout); the other path should have it by then.
const TOO_LONG_S = 30

/**
 * How long I/O waits for a lost session before multipath may use another path. multipathd writes fast_io_fail_tmo over
 * the timeout of the session unless it is off or 0: libmultipath/discovery.c, sysfs_set_session_tmo().
 */
export const checkReplacementTimeout: Check = async ({ host, config, records }) => {
  const { fastIoFailS = FAST_IO_FAIL_S } = await config()
  if (fastIoFailS !== 'off' && fastIoFailS > 0) {
    if (fastIoFailS <= TOO_LONG_S) {
      return [ok(`multipathd lets I/O of a lost session go to another path after ${fastIoFailS} s (fast_io_fail_tmo).`)]
    }
    const message = `I/O of a lost session waits ${fastIoFailS} s before it takes another path (fast_io_fail_tmo).`
    return [warning(message, 'Set fast_io_fail_tmo 5 in /etc/multipath.conf.')]
  }
  const standard = await defaultTimeout(host)
  const found = (await records()).records.flatMap(record => tooLong(record, record.replacementTimeoutS ?? standard))
  return orOk(
    [...found, ...judge(standard, 'through a new node record', ISCSID_CONF)],
    `I/O of a lost session takes another path after at most ${TOO_LONG_S} s.`
  )
}

function tooLong({ target, path }: NodeRecord, seconds: number): readonly Observation[] {
  return judge(seconds, `to ${target}`, path)
}

/** open-iscsi etc/iscsid.conf: 0 fails at once, a negative number never does. */
function judge(seconds: number, which: string, subject: string): readonly Observation[] {
  if (seconds >= 0 && seconds <= TOO_LONG_S) return []
  const wait = seconds < 0 ? 'for ever' : `${seconds} s`
  const message = `I/O of a session ${which} that is lost waits ${wait} before it takes another path (replacement_timeout; multipath's fast_io_fail_tmo is off).`
  return [warning(message, `Set fast_io_fail_tmo 5 in /etc/multipath.conf, or ${SETTING} to 5 to 15 s.`, subject)]
}

/** Of iscsid.conf no other setting is looked at: it may hold secrets. */
async function defaultTimeout({ files }: Pick<Host, 'files'>): Promise<number> {
  const settings = linesOf((await files.read(ISCSID_CONF)) ?? '').map(readSettingLine)
  const value = settings.findLast(setting => setting?.name === SETTING)?.value ?? ''
  return /^-?\d{1,9}$/.test(value) ? Number(value) : BUILT_IN_S
}
