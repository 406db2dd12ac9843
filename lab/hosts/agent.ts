import { createReadStream, openSync, writeSync } from 'node:fs'
import { listNames, readText } from '../world/files.ts'
import { run } from '../world/run.ts'
import { until } from '../world/until.ts'
import { answerCalls } from './calls.ts'
import { isMachineName } from './layout.ts'
import { createStorageMethods } from './storage.ts'
import { createXenHostMethods } from './xen-host.ts'

// Runs in each of several machines and does there what the runner asks for, until the runner is gone: node agent.mjs NAME

const ports = '/sys/class/virtio-ports'

const findPort = (): string | undefined => listNames(ports).find(name => readText(`${ports}/${name}/name`) === 'agent')

const name = process.argv[2]
if (!isMachineName(name)) throw new Error(`no machine has the name ${name}`)
await run('modprobe', ['-a', 'virtio_console', 'virtio_net'])
await run('hostname', [name])
const methods = name === 'storage' ? await createStorageMethods() : await createXenHostMethods(name)
const path = `/dev/${await until('the serial port of the agent', findPort)}`
await until(path, () => listNames('/dev').some(entry => path.endsWith(`/${entry}`)))
// It can be opened once. The first write waits for the runner to be there; a read would take its absence for the end.
const port = openSync(path, 'r+')
await answerCalls(methods, createReadStream('', { fd: port }), line => writeSync(port, line))
process.exit(0)
