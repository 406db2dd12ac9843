import { createInterface } from 'node:readline'
import { inspect } from 'node:util'

// What is said over the serial port of a machine: one JSON value per line. The runner calls, the agent answers; calls
// run side by side and are told apart by number.

interface Call {
  readonly id: number
  readonly method: string
  readonly args: readonly unknown[]
}

interface Answer {
  readonly id: number
  readonly result?: unknown
  readonly error?: string
}

/** The agent says this once, with the number 0: from now on it answers. */
export const readyId = 0

/** What an agent can be asked to do. Arguments and results pass through JSON. */
export type Methods<M> = { readonly [Name in keyof M]: Callable }

type Callable = (...args: never[]) => unknown

/** The same methods, called from another machine. */
export type Remote<M extends Methods<M>> = {
  readonly [Name in keyof M]: (...args: Parameters<M[Name]>) => Promise<Awaited<ReturnType<M[Name]>>>
}

const perform = async (methods: Readonly<Record<string, Callable>>, { id, method, args }: Call): Promise<Answer> => {
  try {
    // The other side has the types.
    const work = methods[method] as ((...given: readonly unknown[]) => unknown) | undefined
    if (work === undefined) throw new Error(`the agent knows no ${method}`)
    return { id, result: await work(...args) }
  } catch (error) {
    return { id, error: error instanceof Error ? error.message : inspect(error) }
  }
}

/** Answers calls until the input ends. */
export const answerCalls = async (
  methods: Readonly<Record<string, Callable>>,
  input: NodeJS.ReadableStream,
  write: (line: string) => void
): Promise<void> => {
  const tell = (answer: Answer): void => write(`${JSON.stringify(answer)}\n`)
  tell({ id: readyId })
  for await (const line of createInterface({ input })) void perform(methods, JSON.parse(line)).then(tell)
}

interface Waiting {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: Error) => void
}

export interface Caller {
  /** Resolves when the agent answers calls. */
  readonly ready: Promise<unknown>
  call(method: string, args: readonly unknown[]): Promise<unknown>
  /** All calls that wait fail with this, and so do new ones. */
  fail(reason: string): void
}

/** The other end of {@link answerCalls}. */
export const createCaller = (name: string, stream: NodeJS.ReadWriteStream): Caller => {
  const waiting = new Map<number, Waiting>()
  let lastId = readyId
  let failure: string | undefined
  const expect = (id: number): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (failure !== undefined) reject(new Error(`${name}: ${failure}`))
      else waiting.set(id, { resolve, reject })
    })
  const ready = expect(readyId)
  createInterface({ input: stream }).on('line', line => {
    const { id, result, error }: Answer = JSON.parse(line)
    const asked = waiting.get(id)
    waiting.delete(id)
    if (error === undefined) asked?.resolve(result)
    else asked?.reject(new Error(`${name}: ${error}`))
  })
  return {
    ready,
    call: async (method, args) => {
      lastId += 1
      const call: Call = { id: lastId, method, args }
      const answered = expect(call.id)
      if (failure === undefined) stream.write(`${JSON.stringify(call)}\n`)
      return await answered
    },
    fail: reason => {
      failure ??= reason
      for (const { reject } of waiting.values()) reject(new Error(`${name}: ${reason}`))
      waiting.clear()
    },
  }
}
