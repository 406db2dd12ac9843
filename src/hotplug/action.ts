import { invalid } from '../core/check.ts'

/** What the toolstack asks for. */
type ScriptAction = 'add' | 'remove'
/** What the script starts by itself, in a process of its own: nobody waits for it, and nobody kills it. */
export type LaterAction = 'complete' | 'expire'
export type Action = ScriptAction | LaterAction

const TOOLSTACK: Readonly<Record<string, ScriptAction>> = { add: 'add', remove: 'remove' }
const LATER: Readonly<Record<string, LaterAction>> = { '--complete': 'complete', '--expire': 'expire' }

/** The arguments that start an action. */
export function argumentsOf(action: LaterAction): readonly string[] {
  return [`--${action}`]
}

/** @throws {@link LunError} `INVALID_INPUT` for anything but one known word: `online` and `offline` are network cards' */
export function parseArguments(args: readonly string[]): Action {
  const [word = '', ...more] = args
  const action = Object.hasOwn(TOOLSTACK, word) ? TOOLSTACK[word] : Object.hasOwn(LATER, word) ? LATER[word] : undefined
  if (action === undefined || more.length > 0) throw invalid('argument', args.join(' '), 'is neither add nor remove')
  return action
}

export function isLater(action: Action): action is LaterAction {
  return action === 'complete' || action === 'expire'
}
