import { type Installation, install } from '../install/install.ts'
import type { Io } from '../io.ts'
import { type Report, table } from '../report.ts'

export interface InstallArguments {
  readonly divertBlockIscsi?: boolean
  readonly prefix?: string
  readonly node?: string
  readonly forceXapi?: boolean
}

/** Installs, and says what became of each file. */
export async function reportInstall(io: Io, options: InstallArguments): Promise<Report> {
  return toReport(
    await install(io, {
      prefix: options.prefix,
      node: options.node,
      isDiverting: options.divertBlockIscsi ?? false,
      isForcedOnXapi: options.forceXapi ?? false,
    })
  )
}

export function toReport(done: Installation): Report {
  const lines = table([
    ...done.files.map(({ path, outcome }) => [outcome, path]),
    ...done.commands.map(command => ['ran', command]),
    ...done.notes.map(note => ['note', note]),
  ])
  return { json: done, lines, exitCode: 0 }
}
