import type { AttachRequest } from 'xen-lun'

/**
 * Reads the `target=` of a disk line: a bare iSCSI name, with the portals of the node database, or
 * `iqn=NAME,portal=ADDRESS[,portal=…][,lun=N][,wwid=WWID][,multipath=y|n]`.
 */
export function parseTarget(params: string): AttachRequest {
  if (!params.includes('=')) return { target: params }
  const values = new Map<string, string[]>()
  for (const pair of params.split(',')) {
    const at = pair.indexOf('=')
    const key = pair.slice(0, Math.max(at, 0))
    if (['user', 'password'].includes(key)) {
      throw new Error(`${key}= is refused: the guest can read it; keep credentials in the node database`)
    }
    if (!['iqn', 'portal', 'lun', 'wwid', 'multipath'].includes(key)) throw new Error(`unknown key in target: ${pair}`)
    const given = values.get(key) ?? []
    values.set(key, given)
    given.push(pair.slice(at + 1))
  }
  const one = (key: string): string | undefined => {
    const all = values.get(key) ?? []
    if (all.length > 1) throw new Error(`${key}= is given twice`)
    return all[0]
  }
  const [lun, wwid, portals, multipath] = [one('lun'), one('wwid'), values.get('portal'), one('multipath') ?? 'y']
  if (multipath !== 'y' && multipath !== 'n') throw new Error(`multipath= is neither y nor n: ${multipath}`)
  return {
    target: one('iqn') ?? '',
    ...(portals !== undefined && { portals }),
    ...(lun !== undefined && { lun: /^\d{1,5}$/.test(lun) ? Number(lun) : Number.NaN }),
    ...(wwid !== undefined && { expected: { wwid } }),
    multipath: multipath === 'n' ? 'never' : 'required',
  }
}
