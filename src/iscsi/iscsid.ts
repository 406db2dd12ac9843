import type { Files } from '../host/files.ts'

// open-iscsi usr/mgmt_ipc.h, ISCSIADM_NAMESPACE; the kernel shows the NUL of an abstract address as @.
const SOCKET = '@ISCSIADM_ABSTRACT_NAMESPACE'
// Linux net/unix/af_unix.c, unix_seq_show(): Num RefCount Protocol Flags Type St Inode Path; __SO_ACCEPTCON
const LISTENS = 0x10000
const FLAGS = 3
const PATH = 7

/**
 * Whether somebody answers iscsiadm: iscsid itself, or systemd, which starts it then (iscsid.socket). Connects to
 * nobody. The address is one of the network namespace of this process.
 */
export async function isIscsidListening(files: Pick<Files, 'read'>): Promise<boolean> {
  const sockets = (await files.read('/proc/net/unix'))?.split('\n') ?? []
  return sockets.some(line => {
    const fields = line.trim().split(/\s+/)
    const isListening = (Number.parseInt(fields[FLAGS] ?? '', 16) & LISTENS) !== 0
    return isListening && fields[PATH]?.replace(/(?<!@)@+$/, '') === SOCKET
  })
}
