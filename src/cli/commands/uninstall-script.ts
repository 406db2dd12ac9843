import { listAttachments } from '../../lun/list.ts'
import { uninstall } from '../install/uninstall.ts'
import type { Io } from '../io.ts'
import type { Report } from '../report.ts'
import { toReport } from './install-script.ts'

/** Removes what was installed, and says what became of each file, and what guests will miss. */
export async function reportUninstall(io: Io, { prefix }: { readonly prefix?: string }): Promise<Report> {
  const { attachments } = prefix === undefined ? await listAttachments(io) : { attachments: [] }
  const held = attachments.filter(({ guests }) => guests.length > 0).length
  const done = await uninstall(io, prefix)
  const note = `LUNs that guests have now: ${held}; they stay when these end, unless the script is back by then`
  return toReport({ ...done, notes: [...done.notes, ...(held > 0 ? [note] : [])] })
}
