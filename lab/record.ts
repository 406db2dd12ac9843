import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { createRecordingExecutor, formatCassette } from 'xen-lun/testing'
import { tellStory } from '../test/takes/story.ts'
import { createTools, outcomeOf, type Take } from '../test/takes/take.ts'
import { createWorld, type World } from './world/world.ts'

const folder = '/share/fixtures/recorded'

async function versions(): Promise<readonly string[]> {
  const run = promisify(execFile)
  const said = async (file: string, ...args: readonly string[]): Promise<string> => {
    // multipath -h exits 1
    const { stdout, stderr } = await run(file, args).catch((error: { stdout: string; stderr: string }) => error)
    return `${stdout}${stderr}`.trim().split('\n')[0] ?? ''
  }
  const xen = /xen_version +: (.*)/.exec((await run('xl', ['info'])).stdout)?.[1] ?? 'unknown'
  return [await said('iscsiadm', '--version'), await said('multipath', '-h'), `xen ${xen}`]
}

async function record(world: World, notes: readonly string[], takes: readonly Take[]): Promise<void> {
  const { host } = world
  for (const take of takes) {
    const executor = createRecordingExecutor(host.executor)
    const outcome = await outcomeOf(take, createTools({ ...host, executor }))
    const path = join(folder, take.name)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(`${path}.txt`, formatCassette(notes, executor.recordings))
    await writeFile(`${path}.json`, outcome)
    await writeFile(`${path}.state.json`, `${JSON.stringify(await world.snapshot(), undefined, 2)}\n`)
    console.log(`recorded ${take.name}`)
  }
}

const world = await createWorld()
const notes = await versions()
const subject = await tellStory(world, async takes => await record(world, notes, takes))
await writeFile(join(folder, 'subject.json'), `${JSON.stringify(subject, undefined, 2)}\n`)
process.exit(0)
