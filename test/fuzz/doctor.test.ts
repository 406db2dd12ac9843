import { parseLvmDevices } from '../../src/doctor/lvm-conf.parse.ts'
import { readXenVersion } from '../../src/doctor/xen-version.ts'
import { isIscsidListening } from '../../src/iscsi/iscsid.ts'
import { showVersion } from '../../src/iscsi/version.commands.ts'
import { createMemoryFiles } from '../support/memory-files.ts'
import { megabyteOf } from './arbitraries.ts'
import { ensure, ensureFilled, ensureInteger } from './checks.ts'
import { testReader } from './reader.ts'

const LVM_CONF = `# This is an example configuration file for the LVM2 system.
config {
	checks = 1
}
devices {
	dir = "/dev"
	scan = [ "/dev" ]
	# global_filter = [ "a|.*|" ]
	filter = [ "a|^/dev/sda|", "r/.*/" ]
	global_filter = [ "r|^/dev/mapper/3600|",
		'r|^/dev/dm-|' ]
	use_devicesfile = 0
	scan_lvs = 1
}
`

testReader('lvm.conf', {
  read: parseLvmDevices,
  check: ({ filter, globalFilter, useDevicesFile, scanLvs }) => {
    for (const list of [filter, globalFilter]) ensure(list === undefined || Array.isArray(list), 'is no list', list)
    for (const flag of [useDevicesFile, scanLvs]) {
      ensure(flag === undefined || typeof flag === 'boolean', 'is no flag', flag)
    }
  },
  refusals: [],
  captures: [LVM_CONF],
  values: /(?<== ).+/g,
  long: ['"', '\\"', '"\\', "'", '#', '[', 'a{', '}', 'a=[', 'a=[]', 'a{a=1 ', 'devices/filter=['].map(megabyteOf),
})

const SOCKETS = `Num       RefCount Protocol Flags    Type St Inode Path
ffff888003a8b000: 00000002 00000000 00010000 0001 01 15014 @ISCSIADM_ABSTRACT_NAMESPACE
ffff888003a8b400: 00000003 00000000 00000000 0001 03 15015
`

testReader('the list of sockets', {
  read: async text => await isIscsidListening(createMemoryFiles({ files: { '/proc/net/unix': text } })),
  check: answer => ensure(typeof answer === 'boolean', 'is no answer', answer),
  refusals: [],
  captures: [SOCKETS],
  long: ['@', ' ', '1 1 1 10000 1 1 1 @', '@x', '\n'].map(megabyteOf),
})

testReader('the version of iscsiadm', {
  read: stdout => showVersion().decode({ exitCode: 0, stdout, stderr: '' }),
  check: answer => ensureFilled(answer, 'version'),
  refusals: ['UNEXPECTED_OUTPUT'],
  captures: ['iscsiadm version 2.1.11\n'],
  long: ['iscsiadm version ', '1'].map(megabyteOf),
})

testReader('the version of Xen', {
  read: async extra => {
    const folder = '/sys/hypervisor/version'
    const files = { [`${folder}/major`]: '4\n', [`${folder}/minor`]: '20\n', [`${folder}/extra`]: extra }
    return await readXenVersion(createMemoryFiles({ files }))
  },
  check: version => {
    ensure(version !== undefined, 'is no version')
    for (const part of version ?? []) ensureInteger(part, 'part', 0, 9999)
  },
  refusals: [],
  captures: ['.0\n', '.4-rc1\n', '-unstable\n'],
  long: ['.', '.1'].map(megabyteOf),
})
