import type { AttachmentStatus, ListAttachments } from '../attachments.ts'
import type { Io } from '../io.ts'
import { type Report, table } from '../report.ts'

const HEAD = ['TARGET', 'LUN', 'DEVICE', 'PATHS', 'OWNERS'] as const

/** Lists what is attached. */
export async function reportStatus({ host, signal }: Io, list: ListAttachments): Promise<Report> {
  const attachments = await list({ host, signal })
  const lines = attachments.length === 0 ? ['nothing is attached'] : table([HEAD, ...attachments.map(toRow)])
  return { json: { attachments }, lines, exitCode: 0 }
}

function toRow({ target, lun, device, paths, owners }: AttachmentStatus): readonly string[] {
  const names = owners.map(({ name, state }) => (state === 'attached' ? name : `${name} (${state})`))
  return [target, String(lun), device ?? '-', `${paths.up}/${paths.total}`, names.join(', ')]
}
