import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readSync, rmdirSync, writeSync } from 'node:fs'
import { mkdtemp, open } from 'node:fs/promises'
import { run } from './run.ts'

/** A file system that does not answer, as of an NFS server that is gone, and a process that has a file there: this one. */
export interface HungFileSystem extends AsyncDisposable {
  readonly mountPoint: string
}

// include/uapi/linux/fuse.h; everything is little-endian here.
const requestBytes = 8192
const answerHeadBytes = 16
const lookup = 1
const init = 26

/** Version 7.31 and nothing else. */
const initAnswer = (): Buffer => {
  const body = Buffer.alloc(64)
  body.writeUInt32LE(7, 0)
  body.writeUInt32LE(31, 4)
  return body
}

/** A plain file with inode 2, which is asked for again each time somebody names it. */
const lookupAnswer = (): Buffer => {
  const body = Buffer.alloc(128)
  body.writeBigUInt64LE(2n, 0)
  const attributes = body.subarray(40)
  attributes.writeBigUInt64LE(2n, 0)
  attributes.writeUInt32LE(0o100644, 60)
  attributes.writeUInt32LE(1, 64)
  return body
}

/** Waits for the next request, which must be this one, and answers it. */
const answer = (server: number, expected: number, body: Buffer): void => {
  const request = Buffer.alloc(requestBytes)
  readSync(server, request)
  const opcode = request.readUInt32LE(4)
  if (opcode !== expected) throw new Error(`FUSE asks ${opcode} instead of ${expected}`)
  const head = Buffer.alloc(answerHeadBytes)
  head.writeUInt32LE(head.length + body.length, 0)
  request.copy(head, 8, 8, 16)
  writeSync(server, Buffer.concat([head, body]))
}

// fcntl.h; Node has no name for it. The file system is not asked to open the file.
const O_PATH = 0o10000000

/** Mounts FUSE, opens a file there, and answers nothing from then on. Whoever names the file waits until the end of its block. */
export const mountHung = async (): Promise<HungFileSystem> => {
  const mountPoint = await mkdtemp('/tmp/hung-')
  const server = openSync('/dev/fuse', 'r+')
  const options = 'fd=3,rootmode=40000,user_id=0,group_id=0'
  // busybox does not look at what it has mounted.
  const mount = ['mount', '-t', 'fuse', '-o', options, 'hung', mountPoint]
  const [exitCode] = await once(spawn('busybox', mount, { stdio: ['ignore', 'ignore', 'inherit', server] }), 'exit')
  if (exitCode !== 0) throw new Error(`${mount.join(' ')} ended with ${exitCode}`)
  answer(server, init, initAnswer())
  const opening = open(`${mountPoint}/file`, O_PATH)
  answer(server, lookup, lookupAnswer())
  const file = await opening
  return {
    mountPoint,
    [Symbol.asyncDispose]: async () => {
      // The kernel then fails all who wait. Not by a promise: they may have taken all threads of Node that would do it.
      closeSync(server)
      await file.close()
      await run('busybox', ['umount', mountPoint])
      rmdirSync(mountPoint)
    },
  }
}
