import { expect, test } from 'vitest'
import { attachLun, detachLun, type Files, type Host, type LunEvent } from 'xen-lun'
import { until } from '../../src/flow/until.ts'
import { createDom0, rejection, target } from './helpers.ts'

/** A host on which looking for mounts, or deleting a disk, takes so long that multipathd gets ahead. */
function slowed(host: Host, slow: (path: string) => boolean): Host {
  let isDone = false
  const wait = async (path: string): Promise<void> => {
    if (isDone || !slow(path)) return
    isDone = true
    await host.clock.sleep(2000)
  }
  const files: Files = {
    ...host.files,
    read: async path => {
      await wait(path)
      return await host.files.read(path)
    },
    sync: async path => {
      await wait(path)
      return await host.files.sync(path)
    },
  }
  return { ...host, files }
}

test.each([
  ['before it is looked who uses the disks', (path: string) => path === '/etc/multipath/wwids'],
  ['before the disks are deleted', (path: string) => path.startsWith('/dev/sd')],
])('a map that multipathd makes of the disks of one who was killed goes too: made %s', async (_, slow) => {
  const dom0 = createDom0()
  const user = dom0.startUser()
  const files: Files = {
    ...user.host.files,
    write: async (path, text) => {
      const isWritten = await user.host.files.write(path, text)
      if (path.endsWith('/scan')) user.kill()
      return isWritten
    },
  }
  void attachLun({ target, portals: dom0.san.portals }, { host: { ...user.host, files } })
  await until(dom0.host.clock, async () => dom0.state().disks.length > 0, {
    awaited: 'a disk',
    timeoutMs: 5000,
    everyMs: 1,
  })
  expect(dom0.state().maps).toEqual([])
  expect((await detachLun({ target }, { host: slowed(dom0.host, slow) })).outcome).toBe('detached')
  expect(dom0.leftovers()).toEqual([])
})

test('a map that multipathd makes while an attach is taken back goes too', async () => {
  const dom0 = createDom0()
  const stop = new AbortController()
  const reason = new Error('enough')
  const onEvent = (event: LunEvent): void => {
    if (event.type === 'path' && event.path.disk !== undefined) stop.abort(reason)
  }
  // The look for mounts: by then it was looked for a map.
  const host = slowed(dom0.host, path => stop.signal.aborted && path === '/proc/self/mountinfo')
  const attaching = attachLun({ target, portals: dom0.san.portals }, { host, onEvent, signal: stop.signal })
  expect(await rejection(attaching)).toBe(reason)
  expect(dom0.leftovers()).toEqual([])
})
