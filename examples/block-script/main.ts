#!/usr/bin/env node
// Block hotplug script: xl calls it as `block-xen-lun add|remove` with XENBUS_PATH in the environment.
// `npm run build` bundles it into dist/block-xen-lun.cjs, one file, because dom0 has no node_modules.
import {
  attachLun,
  createLocalHost,
  createXenstore,
  detachLun,
  type HandedOver,
  isLunError,
  type Xenstore,
} from 'xen-lun'
import { parseTarget } from './target.ts'

const DEADLINE_MS = 32_000 // xl kills the script after 40 s, without asking why
const ERROR_BYTES = 256

async function add(xenstore: Xenstore, base: string): Promise<void> {
  const request = parseTarget(await xenstore.read(`${base}/params`))
  const handOver = async ({ device, deviceNumber: { major, minor } }: HandedOver): Promise<void> =>
    await xenstore.write({
      [`${base}/physical-device`]: `${major.toString(16)}:${minor.toString(16)}`,
      [`${base}/physical-device-path`]: device,
      [`${base}/hotplug-status`]: 'connected',
    })
  // Paths that come later are nobody's business once this process has ended.
  await attachLun({ ...request, paths: { lateMs: 0 } }, { timeoutMs: DEADLINE_MS, owner: base, handOver })
}

async function remove(xenstore: Xenstore, base: string): Promise<void> {
  const params = await xenstore.tryRead(`${base}/params`)
  if (params === undefined) return
  const { target, lun } = parseTarget(params)
  await detachLun({ target, lun }, { timeoutMs: DEADLINE_MS, owner: base })
}

async function main(): Promise<void> {
  const [action, ...rest] = process.argv.slice(2)
  const base = process.env['XENBUS_PATH'] ?? ''
  if ((action !== 'add' && action !== 'remove') || rest.length > 0) throw new Error('usage: block-xen-lun add|remove')
  if (!/^(?:\/local\/domain\/\d+\/)?backend\/vbd\/\d+\/\d+$/.test(base))
    throw new Error('XENBUS_PATH is no vbd backend')
  const xenstore = createXenstore(createLocalHost())
  try {
    await (action === 'add' ? add : remove)(xenstore, base)
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error)
    const line = text.replaceAll(/[^\x20-\x7e]+/g, ' ').slice(0, ERROR_BYTES)
    const status = isLunError(error, 'LUN_SHARED') ? 'busy' : 'error'
    await xenstore.write({ [`${base}/hotplug-error`]: line, [`${base}/hotplug-status`]: status }).catch(() => {})
    throw error
  }
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error)
    process.exit(1)
  }
)
