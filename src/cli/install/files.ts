import { LunError } from '../../core/error.ts'
import type { Files } from '../../host/files.ts'
import { blockLauncher, commandLauncher } from './launcher.ts'
import { LAYOUT, MARKERS, type OwnFile } from './layout.ts'
import { isMarked } from './places.ts'
import { logRotation } from './rotation.ts'
import { reconcileService, reconcileTimer } from './units.ts'

export interface PlanRequest {
  /** Where the bundles are taken from. */
  readonly folder: string
  /** Below which everything goes; what is in the files does not name it. */
  readonly root: string
  readonly node: string
}

/** Every file to be placed, bundles before what starts them. @throws {@link LunError} `BUNDLE_MISSING` */
export async function planFiles(files: Files, { folder, root, node }: PlanRequest): Promise<readonly OwnFile[]> {
  const { blockBundle, commandBundle } = LAYOUT
  const [block, command] = [
    await readBundle(files, folder, blockBundle),
    await readBundle(files, folder, commandBundle),
  ]
  const { bundle, unit, rotation } = MARKERS
  const planned: readonly OwnFile[] = [
    { path: blockBundle, text: block, mode: 0o644, marker: bundle },
    { path: commandBundle, text: command, mode: 0o644, marker: bundle },
    {
      path: LAYOUT.blockScript,
      text: blockLauncher({ node, bundle: blockBundle, snapshot: LAYOUT.blockSnapshot }),
      mode: 0o755,
      marker: MARKERS.blockLauncher,
    },
    {
      path: LAYOUT.command,
      text: commandLauncher({ node, bundle: commandBundle }),
      mode: 0o755,
      marker: MARKERS.commandLauncher,
    },
    { path: LAYOUT.service, text: reconcileService(), mode: 0o644, marker: unit },
    { path: LAYOUT.timer, text: reconcileTimer(), mode: 0o644, marker: unit },
    { path: LAYOUT.rotation, text: logRotation(await otherRotations(files, root)), mode: 0o644, marker: rotation },
  ]
  return planned.map(file => ({ ...file, path: `${root}${file.path}` }))
}

async function readBundle(files: Files, folder: string, installed: string): Promise<string> {
  const path = `${folder}${installed.slice(installed.lastIndexOf('/'))}`
  const text = await files.read(path)
  if (text !== undefined && isMarked(text, MARKERS.bundle)) return text
  throw new LunError('BUNDLE_MISSING', `${path} is not there, or no bundle of xen-lun`, { path })
}

async function otherRotations(files: Files, root: string): Promise<readonly string[]> {
  const folder = LAYOUT.rotation.slice(0, LAYOUT.rotation.lastIndexOf('/'))
  const names = (await files.list(`${root}${folder}`)).filter(
    name => !name.startsWith('.') && `${folder}/${name}` !== LAYOUT.rotation
  )
  const paths = ['/etc/logrotate.conf', ...names.map(name => `${folder}/${name}`)]
  return await Promise.all(paths.map(async path => (await files.read(`${root}${path}`)) ?? ''))
}
