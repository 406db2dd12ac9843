import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { readText } from './files.ts'
import { run } from './run.ts'

/** Where xl looks for the block script. */
export const launcher = '/etc/xen/scripts/block-xen-lun'

/** On an emulated host everything takes long: all the time that the settings allow, of the 40 s that libxl gives. */
export const scriptTimeoutMs = 38_000

/** Installs the block script as an administrator does, also in the place of Xen's own; once per boot. */
export const installScript = async (): Promise<void> => {
  if (existsSync(launcher)) return
  await writeFile('/etc/xen-lun.json', JSON.stringify({ timeoutMs: scriptTimeoutMs }))
  await run('node', ['/project/dist/xen-lun.cjs', 'install-script', '--divert-block-iscsi'])
}

/** What the block script and those of Xen have logged so far. */
export const scriptLog = '/var/log/xen/xen-hotplug.log'

/** The launcher goes on without the startup snapshot, so that nobody but the log would know. */
export const assertSnapshotWorks = (): void => {
  assert.doesNotMatch(readText(scriptLog), /bad option|does not work/)
}
