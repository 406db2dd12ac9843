import type { Iscsid } from './iscsid.ts'
import { attribute, type Tree, textFile } from './tree.ts'

const FILES: Readonly<Record<string, string>> = {
  '/proc/xen/capabilities': 'control_d\n',
  '/sys/hypervisor/type': 'xen\n',
  '/sys/hypervisor/uuid': '00000000-0000-0000-0000-000000000000\n',
  '/sys/hypervisor/version/major': '4\n',
  '/sys/hypervisor/version/minor': '20\n',
  '/sys/hypervisor/version/extra': '.0\n',
  '/sys/module/xen_blkback/parameters/max_buffer_pages': '1024\n',
  '/etc/multipath.conf': '# show config says what is in it\n',
}
const HEADER = 'Num       RefCount Protocol Flags    Type St Inode Path\n'
const ISCSID = '0000000000000000: 00000002 00000000 00010000 0001 01  1501 @ISCSIADM_ABSTRACT_NAMESPACE\n'

/** The files of a dom0 with Xen 4.20 on which nothing depends but who looks the host over. */
export function plantXenHost(tree: Tree, iscsid: Pick<Iscsid, 'isRunning'>): void {
  for (const [path, text] of Object.entries(FILES)) tree.put(path, textFile(text))
  tree.put(
    '/proc/net/unix',
    attribute(() => `${HEADER}${iscsid.isRunning() ? ISCSID : ''}`)
  )
}
