import { chmod, copyFile, rename, rm } from 'node:fs/promises'
import { readText } from '../world/files.ts'
import { installScript, launcher } from '../world/install.ts'

const log = '/var/log/lab/block-script.log'

/** One run of the block script that has come to its end. */
export interface ScriptRun {
  readonly action: string
  readonly tookMs: number
  readonly exitCode: number
}

/** The runs since `forgetScriptRuns`, as image/dom0/lab/timed-block-script has noted them. */
export const scriptRuns = (): ScriptRun[] =>
  readText(log)
    .split('\n')
    .filter(line => line !== '')
    .map(line => {
      const [action = '', began, ended, exitCode] = line.split(' ')
      return { action, tookMs: Math.round((Number(ended) - Number(began)) * 1000), exitCode: Number(exitCode) }
    })

export const forgetScriptRuns = async (): Promise<void> => await rm(log, { force: true })

/** Installs the block script, and puts the timed one where xl looks for it. */
export const installTimedScript = async (): Promise<void> => {
  await installScript()
  await rename(launcher, '/lab/block-xen-lun')
  await copyFile('/lab/timed-block-script', launcher)
  await chmod(launcher, 0o755)
}
