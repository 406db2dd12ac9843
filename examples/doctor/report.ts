import type { Finding, FindingLevel } from 'xen-lun'

const ORDER: readonly FindingLevel[] = ['error', 'warning', 'unknown', 'ok']
const INDENT = ' '.repeat(8)

/** The findings as lines, the gravest first; without those that are well unless all are wanted. */
export function report(findings: readonly Finding[], { isAll }: { readonly isAll: boolean }): readonly string[] {
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
