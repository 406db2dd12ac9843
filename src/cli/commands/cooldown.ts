import { resolveTarget, SCRIPT_FOLDER } from '../../hotplug/request.ts'
import { cooldown } from '../../lun/prewarm.ts'
import type { Io } from '../io.ts'
import type { Report } from '../report.ts'

/** Gives up what prewarm keeps ready, by the same disk line. */
export async function reportCooldown(
  { host, signal }: Io,
  diskTarget: string,
  { owner }: { readonly owner: string }
): Promise<Report> {
  const { target, lun } = await resolveTarget(host.files, SCRIPT_FOLDER, diskTarget)
  const done = await cooldown({ target, lun }, { host, signal, owner })
  const holders = done.owners.length > 0 ? `, held by ${done.owners.join(', ')}` : ''
  return { json: done, lines: [`${done.outcome}: LUN ${done.lun} of ${done.target}${holders}`], exitCode: 0 }
}
