/** What the choice of scenarios goes by. */
export interface Choosable {
  readonly name: string
  readonly about: string
  readonly isLong?: true
  readonly isTight?: true
}

/** Those whose name is this, or else begins with it. */
export const matching = <S extends Choosable>(scenarios: readonly S[], wanted: string): readonly S[] => {
  const exact = scenarios.filter(({ name }) => name === wanted)
  return exact.length > 0 ? exact : scenarios.filter(({ name }) => name.startsWith(wanted))
}

/** Those with these names, all of which must be there, in the order in which they run. */
export const named = <S extends Choosable>(scenarios: readonly S[], names: readonly string[]): readonly S[] => {
  for (const wanted of names) {
    if (!scenarios.some(({ name }) => name === wanted)) throw new Error(`no scenario ${wanted}`)
  }
  return scenarios.filter(({ name }) => names.includes(name))
}

/** Those that run without being named. */
export const usual = <S extends Choosable>(
  scenarios: readonly S[],
  { withLong }: { readonly withLong: boolean }
): readonly S[] => scenarios.filter(({ isLong, isTight }) => isTight !== true && (withLong || isLong !== true))

export const listing = (scenarios: readonly Choosable[]): string => {
  const width = Math.max(...scenarios.map(({ name }) => name.length))
  return scenarios
    .map(({ name, about, isLong, isTight }) => {
      const note = isTight ? '(only by name) ' : isLong ? '(long) ' : ''
      return `${name.padEnd(width)}  ${note}${about}`
    })
    .join('\n')
}
