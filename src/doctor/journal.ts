import type { Check } from './facts.ts'
import { error, orOk } from './finding.ts'

const UNSAFE = 'See who made it or may write to it, and give it to root alone: mode 0700.'

/** What this library noted of its own work, in /run/xen-lun and /var/lib/xen-lun. */
export const checkJournal: Check = async ({ journal }) => {
  const found = (await journal.unreadable()).map(({ path, reason, isUnsafe }) => {
    if (isUnsafe === true)
      return error(`The folder of this library's notes ${reason}; no note in it is believed.`, UNSAFE, path)
    const message = `A note of this library cannot be read: it ${reason}. What it is about is neither attached nor taken away.`
    const advice = 'See who uses the LUN or target it is named after, and remove the file when nobody does.'
    return error(message, advice, path)
  })
  return orOk(found, 'What this library noted of its work can be read.')
}
