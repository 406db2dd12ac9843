import { type Attachment, type AttachRequest, attachLun, type Host } from 'xen-lun'

/** Attaches all disks of a guest, or none. */
export async function startVm(host: Host, luns: readonly AttachRequest[]): Promise<readonly Attachment[]> {
  const disks: Attachment[] = []
  try {
    for (const lun of luns) disks.push(await attachLun(lun, { host }))
    return disks
  } catch (error) {
    await stopVm(disks)
    throw error
  }
}

/** Detaches them, in reverse. */
export async function stopVm(disks: readonly Attachment[]): Promise<void> {
  for (const disk of disks.toReversed()) await disk.detach()
}
