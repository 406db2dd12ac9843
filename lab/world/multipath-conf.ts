import { mkdir, rm, writeFile } from 'node:fs/promises'
import { run } from './run.ts'

/** A setting of multipathd that ends with its block at the latest. */
export interface MultipathConf extends AsyncDisposable {
  /** Takes it back. */
  end(): Promise<void>
}

const folder = '/etc/multipath/conf.d'
const file = `${folder}/lab.conf`

/** Adds to multipath.conf, and has multipathd, which must run, take it over. */
export const configureMultipath = async (text: string): Promise<MultipathConf> => {
  await mkdir(folder, { recursive: true })
  await writeFile(file, text)
  await run('multipathd', ['reconfigure'])
  let isOver = false
  const end = async (): Promise<void> => {
    if (isOver) return
    isOver = true
    await rm(file)
    await run('multipathd', ['reconfigure'])
  }
  return { end, [Symbol.asyncDispose]: end }
}

/** multipathd leaves every disk alone. */
export const refuseAllDisks = async (): Promise<MultipathConf> =>
  await configureMultipath('blacklist {\n  wwid ".*"\n}\n')
