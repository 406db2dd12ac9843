import { domainOf } from '../../lun/owner.ts'
import type { ListAttachments } from '../attachments.ts'
import { uninstall } from '../install/uninstall.ts'
import type { Io } from '../io.ts'
import type { Report } from '../report.ts'
import { toReport } from './install-script.ts'

/** Removes what was installed, and says what became of each file, and what guests will miss. */
export async function reportUninstall(
  io: Io,
  { prefix }: { readonly prefix?: string },
  list: ListAttachments
): Promise<Report> {
  // Asked first: afterwards nobody may be there to ask.
  const attached = prefix === undefined ? await list(io) : []
  const guests = attached.filter(({ owners }) => owners.some(({ name }) => domainOf(name) !== undefined))
  const done = await uninstall(io, prefix)
  const note = `LUNs that guests have now: ${guests.length}; they stay when these end, unless the script is back by then`
  return toReport({ ...done, notes: [...done.notes, ...(guests.length > 0 ? [note] : [])] })
}
