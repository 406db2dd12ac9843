import { lstat, mkdir, rmdir, symlink, unlink } from 'node:fs/promises'
import type { Credentials, TargetChap, TargetSpec } from 'xen-lun/testing'
import { listNames, writeAttribute } from './files.ts'
import { portals, runInTargetNamespace } from './network.ts'
import { backstoreOf } from './volumes.ts'

const fabric = '/sys/kernel/config/target/iscsi'
const groupOf = (iqn: string): string => `${fabric}/${iqn}/tpgt_1`
const lunOf = (iqn: string, lun: number): string => `${groupOf(iqn)}/lun/lun_${lun}`

// LIO's word for "not set".
const unset: Credentials = { username: 'NULL', password: 'NULL' }

export const setChap = async (iqn: string, chap: TargetChap | undefined): Promise<void> => {
  const group = groupOf(iqn)
  const { username, password } = chap ?? unset
  const mutual = chap?.mutual ?? unset
  await writeAttribute(`${group}/auth/userid`, username)
  await writeAttribute(`${group}/auth/password`, password)
  await writeAttribute(`${group}/auth/userid_mutual`, mutual.username)
  await writeAttribute(`${group}/auth/password_mutual`, mutual.password)
  await writeAttribute(`${group}/attrib/authentication`, chap === undefined ? 0 : 1)
}

/** From the next login on, every LUN is read-only. */
export const protectTarget = (iqn: string): Promise<void> =>
  writeAttribute(`${groupOf(iqn)}/attrib/demo_mode_write_protect`, 1)

export const mapLun = async (iqn: string, lun: number, volume: string): Promise<void> => {
  await mkdir(lunOf(iqn, lun))
  await symlink(backstoreOf(volume), `${lunOf(iqn, lun)}/${volume}`)
}

export const unmapLun = async (iqn: string, lun: number): Promise<void> => {
  const directory = lunOf(iqn, lun)
  for (const name of listNames(directory)) {
    if ((await lstat(`${directory}/${name}`)).isSymbolicLink()) await unlink(`${directory}/${name}`)
  }
  await rmdir(directory)
}

/** Ends all sessions and refuses new ones. */
export const killTarget = (iqn: string): Promise<void> => writeAttribute(`${groupOf(iqn)}/enable`, 0)

export const startTarget = (iqn: string): Promise<void> => writeAttribute(`${groupOf(iqn)}/enable`, 1)

export const addTarget = async (spec: TargetSpec): Promise<void> => {
  const { iqn, luns, chap } = spec
  const group = groupOf(iqn)
  await mkdir(group, { recursive: true })
  // Any initiator may log in and write, so that no access list has to be kept.
  await writeAttribute(`${group}/attrib/generate_node_acls`, 1)
  await writeAttribute(`${group}/attrib/cache_dynamic_acls`, 1)
  await writeAttribute(`${group}/attrib/demo_mode_write_protect`, 0)
  await setChap(iqn, chap)
  for (const [lun, volume] of Object.entries(luns)) await mapLun(iqn, Number(lun), volume)
  // The directory's creator decides in which network namespace the portal listens.
  const directories = (spec.portals ?? portals).map(portal => `${group}/np/${portal}`)
  await runInTargetNamespace('mkdir', directories)
  await startTarget(iqn)
}

export const removeTarget = async (iqn: string): Promise<void> => {
  const group = groupOf(iqn)
  await killTarget(iqn)
  for (const lun of listNames(`${group}/lun`)) await unmapLun(iqn, Number(lun.replace('lun_', '')))
  for (const portal of listNames(`${group}/np`)) await rmdir(`${group}/np/${portal}`)
  await rmdir(group)
  await rmdir(`${fabric}/${iqn}`)
}

export const targetNames = (): string[] => listNames(fabric).filter(name => /^(iqn|eui|naa)\./.test(name))
