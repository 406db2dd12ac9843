import { ask } from './socket.ts'

const socket = '/run/xenstored/socket'

// xen/include/public/io/xs_wire.h: four words (type, request, transaction, length of what follows), little-endian.
const headBytes = 16
const lengthAt = 12
const directory = 1
const read = 2

/** What xenstored answers to one question about a path; undefined if the path is not there. */
const question = async (type: number, path: string): Promise<string | undefined> => {
  const body = Buffer.from(`${path}\0`)
  const head = Buffer.alloc(headBytes)
  head.writeUInt32LE(type, 0)
  head.writeUInt32LE(body.length, lengthAt)
  const framing = { headBytes, bodyBytes: (answer: Buffer) => answer.readUInt32LE(lengthAt) }
  const answer = await ask(socket, Buffer.concat([head, body]), framing)
  if (answer === undefined) throw new Error('xenstored does not listen')
  const text = answer.toString('utf8', headBytes)
  if (answer.readUInt32LE(0) === type) return text
  if (text === 'ENOENT\0') return undefined
  throw new Error(`xenstored: ${path}: ${text}`)
}

/** Names below a path of xenstore; none if it is not there. */
export const listNodes = async (path: string): Promise<string[]> => {
  const text = (await question(directory, path)) ?? ''
  return text.split('\0').filter(name => name !== '')
}

/** Every path from this one on, with its value: `path = value`. */
export const listValues = async (path = '/'): Promise<string[]> => {
  const listed = [`${path} = ${(await question(read, path)) ?? ''}`]
  for (const name of await listNodes(path))
    listed.push(...(await listValues(path === '/' ? `/${name}` : `${path}/${name}`)))
  return listed
}
