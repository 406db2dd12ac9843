import { expect, test } from 'vitest'
import { parseDiskTarget } from '../../src/hotplug/disk-target.ts'
import { checkAttachRequest } from '../../src/lun/request.ts'
import { target } from './disk.ts'

const IQN = 'iqn.2001-05.com.example:vm1'
const WWID = '360014058a0906aaaaaa0001000000000'

// xl makes this of `iscsi:NAME,xvda,w` and of `script=block-iscsi,target=NAME`: tools/xl/check-xl-disk-parse of Xen.
test('a bare name is what the first block-iscsi took', () => {
  expect(parseDiskTarget(target)).toEqual({ kind: 'name', target })
})

test.each([
  [`iqn=${IQN},portal=10.0.1.1`, { portals: ['10.0.1.1'], multipath: 'preferred' }],
  [`iqn=${IQN},portal=10.0.1.1:3260,multipath=y`, { portals: ['10.0.1.1:3260'], multipath: 'required' }],
  [`portal=10.0.1.1,iqn=${IQN},multipath=n`, { portals: ['10.0.1.1'], multipath: 'never' }],
  [
    `iqn=${IQN},portal=10.0.1.1,portal=[fd00::1]:3261`,
    { portals: ['10.0.1.1', '[fd00::1]:3261'], multipath: 'required' },
  ],
  [`iqn=${IQN},portal=10.0.1.1,iface=eth1,iface=eth2`, { portals: ['10.0.1.1'], ifaces: ['eth1', 'eth2'] }],
  [`iqn=${IQN},lun=300,wwid=${WWID}`, { lun: 300, expected: { wwid: WWID }, multipath: 'required' }],
])('%s', (params, expected) => {
  const parsed = parseDiskTarget(params)
  expect(parsed).toMatchObject({ kind: 'request', request: { target: IQN, ...expected } })
  if (parsed.kind === 'request') expect(checkAttachRequest(parsed.request).target).toBe(IQN)
})

test.each(['vm1', 'a', 'vm1.example.com_root-0'])('%s is an alias', alias => {
  expect(parseDiskTarget(alias)).toEqual({ kind: 'alias', alias })
})

test.each(['user', 'username', 'pass', 'password', 'chap_password', 'secret', 'USER'])(
  '%s= is refused, with where it belongs and without the value',
  name => {
    const refused = (): unknown => parseDiskTarget(`iqn=${IQN},portal=10.0.1.1,${name}=planted-horse`)
    expect(refused).toThrow(/guest can read it; put CHAP into a file in \/etc\/xen-lun/)
    expect(refused).not.toThrow(/planted/)
  }
)

test.each([
  ['', /neither/],
  ['../vm1', /neither/],
  ['/dev/sda', /neither/],
  [`${IQN},portal=10.0.1.1`, /none of iqn=/],
  ['portal=10.0.1.1', /has no iqn=/],
  [`iqn=${IQN},`, /none of/],
  [`iqn=${IQN},lun`, /none of/],
  [`iqn=${IQN},luns=3`, /none of/],
  [`iqn=${IQN},lun=-1`, /not a LUN number/],
  [`iqn=${IQN},lun=0x1`, /not a LUN number/],
  [`iqn=${IQN},lun=1,lun=2`, /given twice/],
  [`iqn=${IQN},multipath=yes`, /neither y nor n/],
  ['iqn=vm1', /not an iSCSI name/],
  [`${IQN};reboot`, /./],
  [`${IQN}$(reboot)`, /./],
  ['iqn.2001-05.com.example:vm1\nx', /./],
])('%j is refused', (params, reason) => {
  expect(() => parseDiskTarget(params)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }))
  expect(() => parseDiskTarget(params)).toThrow(reason)
})
