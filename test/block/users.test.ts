import { describe, expect, test } from 'vitest'
import { findClaims } from '../../src/block/claims.ts'
import { createInquiry } from '../../src/block/inquiry.ts'
import { findOpenDevices } from '../../src/block/open-devices.ts'
import { nameProcesses } from '../../src/block/processes.ts'
import { readStack } from '../../src/block/stack.ts'
import { findUsers } from '../../src/block/users.ts'
import { findXenBackends } from '../../src/block/xen-backends.ts'
import { createMemoryFiles, type MemoryFiles, type MemoryTree } from '../support/memory-files.ts'

const WWID = '360014058a0906aaaaaa0001000000000'

function block(name: string, dev: string, more: Record<string, string> = {}): Record<string, string> {
  const files = { dev: `${dev}\n`, size: '131072\n', ro: '0\n', ...more }
  return Object.fromEntries(Object.entries(files).map(([file, text]) => [`/sys/block/${name}/${file}`, text]))
}

const MAP = { 'dm/name': `${WWID}\n`, 'dm/uuid': `mpath-${WWID}\n`, 'slaves/sda/x': '' }
const MAPPED = {
  ...block('sda', '8:0', { 'holders/dm-0/x': '' }),
  ...block('sdb', '8:16'),
  ...block('sdb/sdb1', '8:17'),
  ...block('dm-0', '253:0', { ...MAP, 'holders/dm-1/x': '' }),
  ...block('dm-1', '253:1', { 'dm/name': `${WWID}-part1\n`, 'dm/uuid': `part1-mpath-${WWID}\n` }),
}
const NODES = { '/dev/sda': '8:0', '/dev/sdb': '8:16', '/dev/sdb1': '8:17', '/dev/dm-0': '253:0', '/dev/dm-1': '253:1' }
const ROOTS = ['dm-0', 'sda', 'sdb']

function createFiles({ files, devices, ...tree }: MemoryTree = {}): MemoryFiles {
  return createMemoryFiles({ ...tree, files: { ...MAPPED, ...files }, devices: { ...NODES, ...devices } })
}

const inquiry = () => createInquiry(new AbortController().signal)
const named = async (files: MemoryFiles) =>
  await findUsers(files, await readStack(files, ROOTS), await findXenBackends(files))

test('a stack is every device once: the map, its paths, the partitions of both, and what lies on any of them', async () => {
  const files = createFiles({
    files: {
      '/sys/block/sdb/sdb1/holders/dm-2/x': '',
      ...block('dm-2', '253:2', { 'dm/name': 'vg-lv\n', 'dm/uuid': 'LVM-abc\n' }),
    },
  })
  const stack = await readStack(files, ROOTS)
  expect(stack.map(({ name, on, isVolume }) => [name, on, isVolume])).toEqual([
    ['dm-0', undefined, true],
    ['dm-1', 'dm-0', true],
    ['sda', undefined, true],
    ['sdb', undefined, true],
    ['sdb1', 'sdb', true],
    ['dm-2', 'sdb1', false],
  ])
})

describe('tables name', () => {
  test('holders, mounts, swap and Xen backends of exactly these devices', async () => {
    const files = createFiles({
      files: {
        '/sys/block/sda/holders/dm-7/x': '',
        '/proc/self/mountinfo':
          '36 35 253:0 / /srv/vm rw - ext4 /dev/mapper/x rw\n37 35 253:01 / /other rw - ext4 x rw\n',
        '/proc/swaps': 'Filename Type Size Used Priority\n/dev/sdb1 partition 1 0 -2\n/swap.img file 1 0 -3\n',
        '/sys/bus/xen-backend/devices/vbd-3-51712/physical_device': '8:11\n',
        '/sys/bus/xen-backend/devices/vbd-3-51712/state': 'Connected\n',
        '/sys/bus/xen-backend/devices/vbd-4-51712/physical_device': '8:20\n',
      },
    })
    expect(await named(files)).toEqual([
      { kind: 'mount', device: 'dm-0', name: '/srv/vm' },
      { kind: 'holder', device: 'sda', name: 'dm-7' },
      { kind: 'swap', device: 'sdb1', name: '/dev/sdb1' },
      { kind: 'xen-backend', device: 'sdb1', name: 'vbd-3-51712', state: 'Connected' },
    ])
  })

  test.each([
    ['/dev/dm-0', 'dm-0'],
    ['/dev/mapper/x\\040y', 'dm-0'],
    ['/dev/disk/by-uuid/1', 'sdb1'],
    ['/srv/dm-0', undefined],
    ['/dev/../srv/dm-0', undefined],
    ['dm-0', undefined],
  ])('a file system with a number of its own by its source, %s', async (source, device) => {
    const files = createFiles({
      files: { '/proc/self/mountinfo': `72 2 0:41 / /srv rw shared:1 - btrfs ${source} rw\n` },
      devices: { '/srv/dm-0': '253:0' },
      links: { '/dev/mapper/x y': '/dev/dm-0', '/dev/disk/by-uuid/1': '/dev/sdb1' },
    })
    expect(await named(files)).toEqual(device === undefined ? [] : [{ kind: 'mount', device, name: '/srv' }])
  })
})

describe('the kernel tells that a device is claimed', () => {
  const claims = async (tree: MemoryTree): Promise<readonly unknown[]> => {
    const files = createFiles(tree)
    const stack = await readStack(files, ROOTS)
    const look = inquiry()
    const found = await findClaims(files, stack, await findUsers(files, stack, []), look)
    return [...found.map(({ kind, device }) => `${kind} ${device}`), ...look.open()]
  }

  test('where no table names anybody: a partition explains its disk, and the map its paths', async () => {
    expect(await claims({})).toEqual([])
    expect(await claims({ claimed: ['/dev/dm-0', '/dev/sda'] })).toEqual([])
    expect(await claims({ claimed: ['/dev/dm-0', '/dev/dm-1', '/dev/sda'] })).toEqual(['open dm-1'])
    expect(await claims({ claimed: ['/dev/sdb'] })).toEqual(['open sdb'])
    expect(await claims({ claimed: ['/dev/sdb', '/dev/sdb1'] })).toEqual(['open sdb1'])
    const files = { '/proc/self/mountinfo': '36 35 8:17 / /srv rw - ext4 /dev/sdb1 rw\n' }
    expect(await claims({ files, claimed: ['/dev/sdb', '/dev/sdb1'] })).toEqual([])
  })

  test('and a node of another device, or one that cannot be asked, tells nothing', async () => {
    expect(await claims({ devices: { '/dev/sdb': '8:32' } })).toEqual(['/dev/sdb, which is not the node of 8:16'])
    const files = createFiles()
    const denied = { ...files, isClaimed: async () => await Promise.reject(new Error('EPERM: not permitted')) }
    const look = inquiry()
    expect(await findClaims(denied, await readStack(files, ['sdb']), [], look)).toEqual([])
    expect(look.open()).toEqual(['EPERM: not permitted'])
  })
})

describe('processes', () => {
  const MOUNTS =
    '22 1 0:6 / /dev rw - devtmpfs udev rw\n23 1 0:7 / /tmp rw - tmpfs t rw\n24 1 0:40 / /nas rw - nfs4 nas:/ rw\n'
  const open = (pid: number, fd: number, path: string, mount: number): MemoryTree => ({
    files: { [`/proc/${pid}/fdinfo/${fd}`]: `pos:\t0\nmnt_id:\t${mount}\n`, [`/proc/${pid}/comm`]: 'dd\n' },
    links: { [`/proc/${pid}/fd/${fd}`]: path },
  })
  const find = async (trees: readonly MemoryTree[]): Promise<readonly unknown[]> => {
    const files = createFiles({
      files: Object.assign({ '/proc/self/mountinfo': MOUNTS }, ...trees.map(tree => tree.files)) as Record<
        string,
        string
      >,
      links: Object.assign({}, ...trees.map(tree => tree.links)) as Record<string, string>,
      devices: Object.assign({ '/dev/null': '1:3' }, ...trees.map(tree => tree.devices)) as Record<string, string>,
    })
    const asked: string[] = []
    const watched = {
      ...files,
      stat: async (path: string) => {
        asked.push(path)
        return await files.stat(path)
      },
      statOpen: async (pid: string, descriptor: string) => {
        asked.push(`/proc/${pid}/fd/${descriptor}`)
        return await files.statOpen(pid, descriptor)
      },
    }
    const found = await nameProcesses(files, await readStack(files, ROOTS), await findOpenDevices(watched, inquiry()))
    return [...found.map(({ device, name }) => `${device} ${name}`), ...asked]
  }

  test('are found by the number of what they have open, whatever its name is', async () => {
    const mknod = { ...open(12, 7, '/tmp/xvda', 23), devices: { '/tmp/xvda': '8:17' } }
    expect(await find([mknod])).toEqual(['sdb1 12 dd', '/proc/12/fd/7'])
    expect(await find([open(12, 7, '/dev/dm-1', 22)])).toEqual(['dm-1 12 dd', '/proc/12/fd/7'])
  })

  test('with files that may be of a dead server are asked nothing', async () => {
    const hung = { ...open(12, 7, '/nas/dm-0', 24), devices: { '/nas/dm-0': '253:0' } }
    expect(await find([hung, open(13, 0, 'socket:[1]', 9)])).toEqual([])
  })

  test('have one look for each file, however many have it open', async () => {
    const trees = [open(12, 0, '/dev/null', 22), open(12, 1, '/dev/null', 22), open(13, 0, '/dev/null', 22)]
    expect(await find(trees)).toEqual(['/proc/12/fd/0'])
  })

  test('in another namespace are looked up in its table, and by name where no table has the mount', async () => {
    const theirs = { '/proc/12/mountinfo': '90 1 0:50 / /dev rw - tmpfs t rw\n' }
    const far = { ...open(12, 7, '/dev/xvda', 90), devices: { '/dev/xvda': '8:0' } }
    expect(await find([{ ...far, files: { ...far.files, ...theirs } }])).toEqual(['sda 12 dd', '/proc/12/fd/7'])
    expect(await find([far])).toEqual([])
    expect(await find([open(12, 7, '/dev/sda (deleted)', 91)])).toEqual(['sda 12 dd'])
  })

  test('have names that cannot spoil a terminal', async () => {
    const { files, ...tree } = open(12, 7, '/dev/sda', 22)
    const [found] = await find([{ ...tree, files: { ...files, '/proc/12/comm': 'a\u001b[2J\nb\n' } }])
    expect(found).toBe('sda 12 a [2J b')
  })

  test('and loop devices, by the number of their backing file', async () => {
    const loop = (path: string): MemoryTree => ({ files: { '/sys/block/loop0/loop/backing_file': `${path}\n` } })
    expect(await find([{ ...loop('/dev/mapper/x'), links: { '/dev/mapper/x': '/dev/dm-1' } }])).toEqual([
      'dm-1 loop0',
      '/dev/mapper/x',
    ])
    expect(await find([loop('/nas/disk.img')])).toEqual([])
  })
})
