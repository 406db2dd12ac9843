import { expect, test } from 'vitest'
import type { AttachRequest } from 'xen-lun'
import { createSimulatedDom0, type SimulatedDom0 } from 'xen-lun/testing'
import { startVm, stopVm } from './vm-disks.ts'

const target = 'iqn.2001-05.com.example:vm1'
const chap = { username: 'dom0', password: 'correct-horse-1' }
const volumes = [
  { name: 'system', sizeMiB: 64 },
  { name: 'data', sizeMiB: 128 },
]
const createDom0 = (): SimulatedDom0 =>
  createSimulatedDom0({ volumes, targets: [{ iqn: target, luns: { 0: 'system', 1: 'data' }, chap }] })
const lunsOf = ({ san }: SimulatedDom0, password = chap.password): readonly AttachRequest[] =>
  [0, 1].map(lun => ({ target, lun, portals: san.portals, chap: { ...chap, password } }))

test('a guest gets its disks, over two paths each, and gives them back', async () => {
  const dom0 = createDom0()
  const disks = await startVm(dom0.host, lunsOf(dom0))
  expect(disks.map(disk => [disk.sizeBytes >> 20, disk.isDegraded])).toEqual([
    [64, false],
    [128, false],
  ])
  await stopVm(disks)
  expect(dom0.leftovers()).toEqual([])
})

test('a guest starts without a portal that is cut off', async () => {
  const dom0 = createDom0()
  await dom0.san.cutPortal(dom0.san.portals[1])
  const disks = await startVm(dom0.host, lunsOf(dom0))
  expect(disks.map(disk => disk.isDegraded)).toEqual([true, true])
  await stopVm(disks)
  expect(dom0.leftovers()).toEqual([])
})

test('a guest does not start with the wrong secret, and nothing is left', async () => {
  const dom0 = createDom0()
  const start = startVm(dom0.host, lunsOf(dom0, 'wrong-password-3'))
  await expect(start).rejects.toMatchObject({ code: 'ISCSI_AUTH_FAILED' })
  expect(dom0.leftovers()).toEqual([])
})
