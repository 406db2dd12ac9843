import { expect, test } from 'vitest'
import { cleanEnvironment } from '../../src/hotplug/environment.ts'

const XEN = {
  XENBUS_PATH: 'backend/vbd/1/51712',
  XENBUS_TYPE: 'vbd',
  XENBUS_BASE_PATH: 'backend',
  script: '/etc/xen/scripts/block-xen-lun',
  XENSTORED_PATH: '/run/xenstored/socket',
  XENSTORED_RUNDIR: '/run/xenstored',
}
const OWN = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }

test("keeps Xen's variables and nothing else", () => {
  const hostile = { PATH: '/tmp', LC_ALL: 'tr_TR', LANG: 'tr_TR', NODE_OPTIONS: '-r x', DEBUG: '*', LD_PRELOAD: 'x' }
  expect(cleanEnvironment({ ...hostile, ...XEN })).toEqual({ ...XEN, ...OWN })
})

test('invents none of them', () => {
  expect(cleanEnvironment({ XENBUS_PATH: undefined, XENBUS_TYPE: '' })).toEqual({ XENBUS_TYPE: '', ...OWN })
})
