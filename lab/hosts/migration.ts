import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { createServer } from 'node:net'
import { readText } from '../world/files.ts'
import { type Outcome, tryRun } from '../world/run.ts'
import { type HostName, migrationAddressOf, migrationPort } from './layout.ts'

const log = '/var/log/lab/migrate-receive.log'

/** For each connection starts `xl migrate-receive`, which reads and writes the connection itself. */
export const listenForGuests = async (): Promise<void> => {
  const server = createServer({ pauseOnConnect: true }, socket => {
    const output = openSync(log, 'w')
    spawn('xl', ['migrate-receive'], { stdio: [socket, socket, output] })
    closeSync(output)
    socket.destroy()
  })
  await once(server.listen(migrationPort), 'listening')
}

/** What xl said when it received the last guest. */
export const receiverLog = (): string => readText(log)

/** Migrates a guest, live. */
export const sendGuest = (guest: string, to: HostName): Promise<Outcome> =>
  tryRun('xl', ['migrate', '-s', '/lab/migrate-to', guest, migrationAddressOf(to)], { timeoutMs: 300_000 })
