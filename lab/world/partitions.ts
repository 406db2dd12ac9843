import { existsSync } from 'node:fs'
import { basename } from 'node:path'
import { writeDevice } from './devices.ts'
import { run, tryRun } from './run.ts'
import { until } from './until.ts'

/** The first and only partition of a device. */
export interface Partition {
  /** Its node. */
  readonly path: string
  readonly release: () => Promise<void>
}

const sectorBytes = 512
const firstSector = 2048
const sectors = 32_768

/** A master boot record with one partition of Linux. */
const table = (): Buffer => {
  const sector = Buffer.alloc(sectorBytes)
  const entry = sector.subarray(446)
  // No cylinders, heads and sectors, as on every disk since the last century.
  entry.writeUIntBE(0xfeffff, 1, 3)
  entry.writeUInt8(0x83, 4)
  entry.writeUIntBE(0xfeffff, 5, 3)
  entry.writeUInt32LE(firstSector, 8)
  entry.writeUInt32LE(sectors, 12)
  sector.writeUInt16BE(0x55aa, 510)
  return sector
}

/** The device-mapper makes the partition a device. The table is written through `through`. */
export const mapPartition = async (path: string, through: string = path): Promise<Partition> => {
  await writeDevice(through, 0, table())
  // What the kernel has read of the path before is not what has just been written through the map.
  if (path !== through) await run('blockdev', ['--flushbufs', path])
  // -s waits for udev.
  const how = ['-s', '-p', '-part', path]
  await run('kpartx', ['-a', ...how])
  const node = `/dev/mapper/${basename(path)}-part1`
  await until(node, () => existsSync(node))
  return {
    path: node,
    release: async () => {
      await run('kpartx', ['-d', ...how])
    },
  }
}

/** The kernel itself finds the partition of a disk. */
export const findPartition = async (path: string): Promise<Partition> => {
  const node = `${path}1`
  // The kernel refuses while udev looks at the partitions it has.
  const reread = async (isWanted: boolean): Promise<void> => {
    await until(`${node} to ${isWanted ? 'come' : 'go'}`, async () => {
      const { exitCode } = await tryRun('blockdev', ['--rereadpt', path])
      return exitCode === 0 && existsSync(node) === isWanted
    })
  }
  await writeDevice(path, 0, table())
  await reread(true)
  return {
    path: node,
    release: async () => {
      await writeDevice(path, 0, Buffer.alloc(sectorBytes))
      await reread(false)
    },
  }
}
