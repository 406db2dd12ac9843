import { Duplex, PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { answerCalls, createCaller } from '../../lab/hosts/calls.ts'

/** A caller and an agent, joined as by a serial port. */
function connect(methods: Parameters<typeof answerCalls>[0]) {
  const down = new PassThrough()
  const up = new PassThrough()
  const caller = createCaller('hosta', Duplex.from({ readable: up, writable: down }))
  const ended = answerCalls(methods, down, line => up.write(line))
  return { caller, ended, hangUp: () => down.end() }
}

test('calls run side by side, and each gets its own answer', async () => {
  const { promise: held, resolve: release } = withResolvers()
  const { caller, ended, hangUp } = connect({
    slow: async () => {
      await held
      return 'slow'
    },
    add: (one: number, two: number) => one + two,
  })
  await caller.ready
  const slow = caller.call('slow', [])
  expect(await caller.call('add', [1, 2])).toBe(3)
  release()
  expect(await slow).toBe('slow')
  hangUp()
  await ended
})

test("what an agent's method throws, its caller gets, with the name of the machine", async () => {
  const { caller } = connect({
    fail: () => {
      throw new Error('no such guest')
    },
  })
  await expect(caller.call('fail', [])).rejects.toThrow('hosta: no such guest')
  await expect(caller.call('unheard', [])).rejects.toThrow('hosta: the agent knows no unheard')
})

test('when the machine ends, every call that waits fails, and every later one', async () => {
  const { caller } = connect({ never: () => new Promise(() => {}) })
  await caller.ready
  const waiting = caller.call('never', [])
  caller.fail('QEMU ended with 1')
  await expect(waiting).rejects.toThrow('hosta: QEMU ended with 1')
  await expect(caller.call('never', [])).rejects.toThrow('hosta: QEMU ended with 1')
})

function withResolvers() {
  let resolve = () => {}
  const promise = new Promise<void>(done => {
    resolve = done
  })
  return { promise, resolve }
}
