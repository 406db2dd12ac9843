import type { Files } from '../host/files.ts'
import type { AttachRequest } from '../lun/request.ts'
import { readAlias } from './alias.ts'
import { type Call, keyOf } from './call.ts'
import { parseDiskTarget } from './disk-target.ts'
import { parsePortalsConf } from './portals-conf.parse.ts'
import type { ScriptSettings } from './settings.ts'
import { readTrusted } from './trusted-file.ts'

/** Where Xen's scripts are, with what is configured beside them. */
export const SCRIPT_FOLDER = '/etc/xen/scripts'

/**
 * What the disk of this call is to be, from its `params` and what the host's files say of it.
 *
 * @throws {@link LunError} as {@link resolveTarget}; `XENSTORE_NOT_FOUND` when the disk is gone
 */
export async function readRequest(call: Call): Promise<AttachRequest> {
  const { xenstore, settings, signal, host, scriptFolder } = call
  const params = await xenstore.read(keyOf(call, 'params'), { signal })
  return withSettings(await resolveTarget(host.files, scriptFolder, params), settings)
}

/**
 * What the `target=` of a disk line stands for.
 *
 * @throws {@link LunError} `INVALID_INPUT`, `UNEXPECTED_OUTPUT` for a `block-iscsi.conf` that would have to be executed
 */
export async function resolveTarget(files: Files, scriptFolder: string, params: string): Promise<AttachRequest> {
  const target = parseDiskTarget(params)
  switch (target.kind) {
    case 'request':
      return target.request
    case 'alias':
      return await readAlias(files, target.alias)
    case 'name': {
      const conf = await readTrusted(files, `${scriptFolder}/block-iscsi.conf`)
      const portals = conf === undefined ? [] : parsePortalsConf(conf)
      // Without portals the records of the node database tell.
      return { target: target.target, ...(portals.length > 0 && { portals }) }
    }
  }
}

/** What the host's settings add to a request. Paths that are missing when the attach ends are left to another process. */
export function withSettings(request: AttachRequest, { minPaths }: Pick<ScriptSettings, 'minPaths'>): AttachRequest {
  const isSingle = request.multipath === 'never'
  return { ...request, paths: { ...(!isSingle && { min: minPaths }), ...request.paths, lateMs: 0 } }
}
