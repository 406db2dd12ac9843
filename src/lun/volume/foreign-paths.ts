import type { Context } from '../context.ts'
import type { LunDescription } from './find-lun.ts'

/**
 * Whether the map keeps a path that works when this LUN's are gone: one through another target, of which both the kernel
 * and multipathd say so. Without multipathd the kernel's word has to do.
 */
export async function hasLiveForeignPath(
  { host, multipath }: Context,
  { map, foreignPaths }: Pick<LunDescription, 'map' | 'foreignPaths'>,
  signal: AbortSignal
): Promise<boolean> {
  if (map === undefined || foreignPaths.length === 0) return false
  const states = await Promise.all(
    foreignPaths.map(async disk => (await host.files.read(`/sys/block/${disk}/device/state`))?.trim())
  )
  const running = foreignPaths.filter((_, n) => states[n] === 'running')
  if (running.length === 0 || !(await multipath.isRunning({ signal }))) return running.length > 0
  const { paths = [] } = (await multipath.map(map.name, { signal })) ?? {}
  return paths.some(({ device, dmState }) => dmState === 'active' && running.includes(device))
}
