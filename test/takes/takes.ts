import { iqn, type Portal, portal } from 'xen-lun'
import type { Take } from './take.ts'

/** What the recorder puts on the SAN: LUN 0 behind two portals. */
export const target = iqn('iqn.2001-05.com.equallogic:0-8a0906-recorded')
const unknown = iqn(`${target}-unknown`)
const portals: readonly Portal[] = [portal('10.0.1.1'), portal('10.0.2.1')]
const [first = portal('10.0.1.1'), second = portal('10.0.2.1')] = portals
const scratch = '/tool/xen-lun'

/** Values that a careless client would spoil. */
const values = {
  [`${scratch}/plain`]: 'fd:0',
  [`${scratch}/empty`]: '',
  [`${scratch}/dash`]: '-5',
  [`${scratch}/backslash`]: 'a\\b',
  [`${scratch}/newline`]: 'two\nlines\n',
}

/** Before any login. */
export const beforeLogin: readonly Take[] = [
  { name: 'iscsiadm/no-records', play: async ({ iscsiadm }) => await iscsiadm.nodes() },
  { name: 'iscsiadm/discovery', play: async ({ iscsiadm }) => await iscsiadm.discover({ portal: first }) },
  {
    name: 'iscsiadm/login-without-record',
    play: async ({ iscsiadm }) => await iscsiadm.login({ target, portal: first }),
  },
  {
    name: 'iscsiadm/records',
    play: async ({ iscsiadm }) => {
      for (const at of portals) await iscsiadm.createRecord({ target, portal: at })
      await iscsiadm.updateRecords({ target }, { 'node.startup': 'manual', 'node.session.scan': 'manual' })
      return [await iscsiadm.nodes(), await iscsiadm.showRecords({ target })]
    },
  },
  {
    name: 'iscsiadm/login-unknown-target',
    play: async ({ iscsiadm }) => {
      await iscsiadm.createRecord({ target: unknown, portal: first })
      return await iscsiadm.login({ target: unknown })
    },
  },
  {
    name: 'iscsiadm/ifaces',
    play: async ({ iscsiadm }) => {
      const made = await iscsiadm.createIface('recorded.p1')
      await iscsiadm.updateIface('recorded.p1', { 'iface.net_ifacename': 'p1' })
      const listed = await iscsiadm.ifaces()
      return [made, listed, await iscsiadm.deleteIface('recorded.p1')]
    },
  },
  { name: 'multipath/no-maps', play: async ({ multipath }) => [await multipath.maps(), await multipath.paths()] },
  {
    name: 'multipath/config',
    play: async ({ multipath }) => {
      const { findMultipaths, hasFriendlyNames, noPathRetry, blacklist } = await multipath.config()
      return {
        findMultipaths,
        hasFriendlyNames,
        noPathRetry,
        devnode: blacklist.devnode,
        isBusy: await multipath.isBusy(),
      }
    },
  },
  {
    name: 'xenstore/values',
    play: async ({ xenstore }) => {
      await xenstore.write(values)
      const read = await Promise.all(Object.keys(values).map(async path => await xenstore.read(path)))
      return [read, await xenstore.list(scratch), await xenstore.exists(scratch)]
    },
  },
  {
    name: 'xenstore/missing',
    play: async ({ xenstore }) => {
      await xenstore.rm(scratch)
      return [await xenstore.exists(scratch), await xenstore.tryRead(scratch), await xenstore.read(`${scratch}/plain`)]
    },
  },
]

/** The credentials of the record are wrong. */
export const wrongSecret: readonly Take[] = [
  {
    name: 'iscsiadm/login-wrong-secret',
    play: async ({ iscsiadm }) => await iscsiadm.login({ target, portal: first }),
  },
]

/** The second portal does not answer. */
export const portalCut: readonly Take[] = [
  { name: 'iscsiadm/login-one-portal-dead', play: async ({ iscsiadm }) => await iscsiadm.login({ target }) },
]

/** Both portals answer. */
export const login: readonly Take[] = [
  {
    name: 'iscsiadm/login',
    play: async ({ iscsiadm }) => [await iscsiadm.login({ target }), await iscsiadm.login({ target, portal: second })],
  },
]

/** LUN 0 was scanned in as `disk`. */
export const mapped = (wwid: string, disk: string): readonly Take[] => [
  { name: 'multipath/add-path', play: async ({ multipath }) => await multipath.addPath(disk) },
  {
    name: 'multipath/maps',
    play: async ({ multipath }) => [await multipath.maps(), await multipath.map(wwid), await multipath.paths()],
  },
  {
    name: 'multipath/unknown',
    play: async ({ multipath }) => [await multipath.map('no-such-map'), await multipath.flush('no-such-map')],
  },
  { name: 'multipath/add-path-unknown', play: async ({ multipath }) => await multipath.addPath('sdzz') },
]

/** Somebody has the map open. */
export const busy = (wwid: string): readonly Take[] => [
  { name: 'multipath/flush-busy', play: async ({ multipath }) => await multipath.flush(wwid) },
]

/** Nobody has the map open any more. */
export const afterwards = (wwid: string): readonly Take[] => [
  { name: 'multipath/flush', play: async ({ multipath }) => await multipath.flush(wwid) },
  {
    name: 'multipath/wwids',
    play: async ({ multipath }) => [await multipath.removeWwid(wwid), await multipath.removeWwid(wwid)],
  },
  {
    name: 'iscsiadm/logout',
    play: async ({ iscsiadm }) => [await iscsiadm.logout({ target }), await iscsiadm.logout({ target })],
  },
  {
    name: 'iscsiadm/delete-records',
    play: async ({ iscsiadm }) => [await iscsiadm.deleteRecords({ target }), await iscsiadm.deleteRecords({ target })],
  },
]

/** Neither iscsid nor multipathd runs. */
export const daemonsDown: readonly Take[] = [
  { name: 'iscsiadm/no-iscsid', play: async ({ iscsiadm }) => await iscsiadm.discover({ portal: first }) },
  { name: 'multipath/no-daemon', play: async ({ multipath }) => await multipath.maps() },
]
