import { mkdir, open, rm, rmdir, truncate } from 'node:fs/promises'
import type { PresentedVolume, VolumeSpec } from 'xen-lun/testing'
import { listNames, writeAttribute } from './files.ts'
import { run } from './run.ts'

const bytesPerMiB = 1024 * 1024
const core = '/sys/kernel/config/target/core/iblock_0'
const fileOf = (name: string): string => `/srv/lab/${name}.img`

export const backstoreOf = (name: string): string => `${core}/${name}`

/** LIO makes the NAA designator from the hex digits of the serial: 6, its company id 001405, 25 digits. */
const wwidOf = (serial: string): string =>
  `36001405${serial
    .replaceAll(/[^0-9a-f]/gi, '')
    .padEnd(25, '0')
    .slice(0, 25)}`

const loopDeviceOf = async (name: string): Promise<string> => {
  const listed = await run('losetup', ['--noheadings', '--output', 'NAME', '--associated', fileOf(name)])
  return listed.trim()
}

let volumesMade = 0
const newSerial = (): string => {
  volumesMade += 1
  return `8a0906aaaaaa${volumesMade.toString(16).padStart(4, '0')}`
}

export const addVolume = async ({ name, sizeMiB, serial = newSerial() }: VolumeSpec): Promise<PresentedVolume> => {
  const file = await open(fileOf(name), 'wx')
  await file.truncate(sizeMiB * bytesPerMiB)
  await file.close()
  // A loop device, because a file backstore of LIO has its size fixed at creation.
  const device = await run('losetup', ['--find', '--show', fileOf(name)])
  const backstore = backstoreOf(name)
  await mkdir(backstore, { recursive: true })
  await writeAttribute(`${backstore}/control`, `udev_path=${device.trim()}`)
  // A product that multipath-tools knows, so that its own settings for a real array apply.
  await writeAttribute(`${backstore}/wwn/vendor_id`, 'EQLOGIC')
  await writeAttribute(`${backstore}/wwn/product_id`, '100E-00')
  await writeAttribute(`${backstore}/enable`, 1)
  await writeAttribute(`${backstore}/wwn/vpd_unit_serial`, serial)
  return { name, serial, wwid: wwidOf(serial) }
}

export const removeVolume = async (name: string): Promise<void> => {
  await rmdir(backstoreOf(name))
  const device = await loopDeviceOf(name)
  if (device !== '') await run('losetup', ['--detach', device])
  await rm(fileOf(name))
}

export const resizeVolume = async (name: string, sizeMiB: number): Promise<void> => {
  await truncate(fileOf(name), sizeMiB * bytesPerMiB)
  await run('losetup', ['--set-capacity', await loopDeviceOf(name)])
}

export const volumeNames = (): string[] => listNames(core).filter(name => name !== 'hba_info' && name !== 'hba_mode')

/**
 * LIO sends its I/O to the loop device, past that device's cache, and the loop device reads and writes its file as any
 * program does: so the file itself, through its own cache, is what the initiator sees, at every moment.
 */
export const readVolume = async (name: string, offset: number, length: number): Promise<Buffer> => {
  await using file = await open(fileOf(name), 'r')
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset)
  if (bytesRead !== length) throw new Error(`volume ${name} ends at ${offset + bytesRead}`)
  return buffer
}

export const writeVolume = async (name: string, offset: number, data: Uint8Array): Promise<void> => {
  await using file = await open(fileOf(name), 'r+')
  await file.write(data, 0, data.length, offset)
}
