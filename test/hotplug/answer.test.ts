import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { expect, onTestFinished, test, vi } from 'vitest'
import { startIn } from '../../src/host/process-id.ts'
import { openAnswer } from '../../src/hotplug/process/answer.ts'

vi.setConfig({ testTimeout: 60_000 })

/** A process with that as its descriptor 3; it prints the lines that come there, and how they ended. */
async function startLauncher(descriptor: string) {
  const text = `exec 3<>${descriptor}; echo ready; read -r line; echo "$line"
exec 4<"/proc/$$/fd/3" 3<&-; while read -r -u 4 line; do echo "$line"; done; echo end`
  const child = spawn('/bin/bash', ['-c', text], { stdio: ['pipe', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const next = async (): Promise<unknown> => (await lines.next()).value
  expect(await next()).toBe('ready')
  const pid = String(child.pid)
  return { child, pid, start: startIn(readFileSync(`/proc/${pid}/stat`, 'latin1')) ?? '', next }
}

const openHere = (): number => readdirSync('/proc/self/fd').length

test("a launcher reads what is said in its pipe, and sees the pipe's end", async () => {
  const { child, next, ...launcher } = await startLauncher(' <(:)')
  const before = openHere()
  const answer = openAnswer(launcher)
  expect(openHere()).toBe(before + 1)
  answer?.say('taken')
  answer?.say('exit 0')
  child.stdin.write('go\n')
  expect([await next(), await next(), await next()]).toEqual(['go', 'taken', 'exit 0'])
  answer?.close()
  expect(await next()).toBe('end')
})

test('a process that has the number of a launcher is not written to, though it has a pipe there', async () => {
  const { pid, start } = await startLauncher(' <(:)')
  const before = openHere()
  expect(openAnswer({ pid, start: String(Number(start) - 1) })).toBeUndefined()
  expect(openHere()).toBe(before)
})

test('nothing is opened that is no pipe', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'xen-lun-'))
  onTestFinished(async () => await rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, 'file'), '')
  for (const path of [join(folder, 'file'), '/dev/null']) {
    const launcher = await startLauncher(` '${path}'`)
    const before = openHere()
    expect(openAnswer(launcher)).toBeUndefined()
    expect(openHere()).toBe(before)
  }
})

test('a launcher that is gone has no pipe', async () => {
  const { child, pid, start } = await startLauncher(' <(:)')
  child.kill('SIGKILL')
  await once(child, 'close')
  expect(openAnswer({ pid, start })).toBeUndefined()
})
