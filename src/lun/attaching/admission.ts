import type { Context } from '../context.ts'

/**
 * Unless `find_multipaths` is `off` or `greedy`, multipathd maps a device only once it has seen two paths or knows
 * the WWID; a lone path would wait for ever. Adding the WWID is done once, whichever path comes first.
 */
export function createAdmission({ multipath }: Context): (disk: string, signal: AbortSignal) => Promise<void> {
  let admitted: Promise<void> | undefined
  return async (disk, signal) => {
    admitted ??= (async () => {
      const { findMultipaths } = await multipath.config({ signal })
      if (findMultipaths !== 'off' && findMultipaths !== 'greedy') await multipath.addWwid(disk, { signal })
    })()
    await admitted
  }
}
