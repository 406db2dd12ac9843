import type { AttachRequest } from '../lun/request.ts'
import { readAlias } from './alias.ts'
import { type Call, keyOf } from './call.ts'
import { parseDiskTarget } from './disk-target.ts'
import { parsePortalsConf } from './portals-conf.parse.ts'

/**
 * What the disk of this call is to be, from its `params` and what the host's files say of it.
 *
 * @throws {@link LunError} `INVALID_INPUT`, `UNEXPECTED_OUTPUT` for a `block-iscsi.conf` that would have to be executed,
 * `XENSTORE_NOT_FOUND` when the disk is gone
 */
export async function readRequest(call: Call): Promise<AttachRequest> {
  const { xenstore, settings, signal } = call
  const request = await resolve(call, await xenstore.read(keyOf(call, 'params'), { signal }))
  const isSingle = request.multipath === 'never'
  const paths = { ...(!isSingle && { min: settings.minPaths }), ...request.paths, lateMs: 0 }
  return { ...request, paths }
}

async function resolve({ host, scriptFolder }: Call, params: string): Promise<AttachRequest> {
  const target = parseDiskTarget(params)
  switch (target.kind) {
    case 'request':
      return target.request
    case 'alias':
      return await readAlias(host.files, target.alias)
    case 'name': {
      const conf = await host.files.read(`${scriptFolder}/block-iscsi.conf`)
      const portals = conf === undefined ? [] : parsePortalsConf(conf)
      // Without portals the records of the node database tell.
      return { target: target.target, ...(portals.length > 0 && { portals }) }
    }
  }
}
