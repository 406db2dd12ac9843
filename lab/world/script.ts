import { launcher } from './install.ts'
import { type Outcome, tryRun } from './run.ts'

/** Runs the installed block script as xl does, for a backend whose keys stand in xenstore. */
export const runBlockScript = async (action: 'add' | 'remove', backend: string): Promise<Outcome> =>
  await tryRun('env', [`XENBUS_PATH=${backend}`, launcher, action])
