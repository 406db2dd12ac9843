/** What a command has to say; it prints nothing itself. */
export interface Report {
  /** For `--json`. */
  readonly json: unknown
  /** For people. */
  readonly lines: readonly string[]
  /** 1: it failed in part, or problems were found. */
  readonly exitCode: 0 | 1
}

const GAP = '  '

/** Rows with columns of equal width. */
export function table(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)))
  return rows.map(row =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join(GAP)
      .trimEnd()
  )
}
