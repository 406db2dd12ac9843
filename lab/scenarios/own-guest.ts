import assert from 'node:assert/strict'
import type { OwnDisk } from '../world/own-disk.ts'
import type { World } from '../world/world.ts'

/** Dom0's own disk as the users of a LUN name it. */
export const ownBackend = { kind: 'xen-backend', name: 'vbd-0-51712' } as const

/** Whoever has the disk can still write to the volume; `text` tells one write from the others. */
export async function assertWrites(world: World, disk: OwnDisk, text: string): Promise<void> {
  const data = Buffer.alloc(8192, `${text} `)
  await world.writeDevice(await disk.device(), 1 << 20, data)
  assert.deepEqual(Buffer.from(await world.san.readVolume('v0', 1 << 20, data.length)), data, text)
}

/** xl attaches the disk, or it is told why not. */
export async function attachDisk(disk: OwnDisk, line: string): Promise<void> {
  const { exitCode, text } = await disk.attach(line)
  assert.equal(exitCode, 0, text)
}

export async function detachDisk(disk: OwnDisk): Promise<void> {
  const { exitCode, text } = await disk.detach()
  assert.equal(exitCode, 0, text)
}
