import { uninstall } from '../install/uninstall.ts'
import type { Io } from '../io.ts'
import type { Report } from '../report.ts'
import { toReport } from './install-script.ts'

/** Removes what was installed, and says what became of each file. */
export async function reportUninstall(io: Io, { prefix }: { readonly prefix?: string }): Promise<Report> {
  return toReport(await uninstall(io, prefix))
}
