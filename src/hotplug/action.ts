import { invalid } from '../core/check.ts'

/** What the script goes on with by itself after a call: nobody waits for it, and nobody kills it. */
export const LATER_ACTIONS = ['complete', 'expire'] as const
/** The first two are the toolstack's. No word has a dash before it: after a snapshot node takes that for an option of its own. */
const ACTIONS = ['add', 'remove', ...LATER_ACTIONS] as const

export type LaterAction = (typeof LATER_ACTIONS)[number]
export type Action = (typeof ACTIONS)[number]

/** @throws {@link LunError} `INVALID_INPUT` for anything but one known word: `online` and `offline` are network cards' */
export function parseArguments(args: readonly string[]): Action {
  const [word, ...more] = args
  const action = ACTIONS.find(each => each === word)
  if (action === undefined || more.length > 0) throw invalid('argument', args.join(' '), 'is neither add nor remove')
  return action
}

export function isLater(action: Action): action is LaterAction {
  return LATER_ACTIONS.some(each => each === action)
}
