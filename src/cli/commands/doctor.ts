import { doctor } from '../../doctor/doctor.ts'
import type { Finding, FindingLevel } from '../../doctor/finding.ts'
import type { Io } from '../io.ts'
import type { Report } from '../report.ts'

const ORDER: readonly FindingLevel[] = ['error', 'warning', 'unknown', 'ok']
const INDENT = ' '.repeat(8)

/** Looks over the host. JSON has every finding, text those that are well only if wanted. */
export async function reportDoctor({ host, signal }: Io, { all = false }: { readonly all?: boolean }): Promise<Report> {
  const { findings, worst } = await doctor({ host, signal })
  return { json: { worst, findings }, lines: describe(findings, all), exitCode: worst === 'error' ? 1 : 0 }
}

/** The gravest first. */
function describe(findings: readonly Finding[], isAll: boolean): readonly string[] {
  const shown = ORDER.filter(level => isAll || level !== 'ok').flatMap(level =>
    findings.filter(finding => finding.level === level)
  )
  const lines = shown.flatMap(({ check, level, message, subject, advice }) => [
    `${level.padEnd(INDENT.length)}${check}: ${message}`,
    ...(subject === undefined ? [] : [`${INDENT}${subject}`]),
    ...(advice === undefined ? [] : [`${INDENT}${advice}`]),
  ])
  const well = findings.filter(({ level }) => level === 'ok').length
  return [...lines, `${well} of ${findings.length} findings are ok`]
}
