import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { onAbort } from '../../src/flow/on-abort.ts'

test('any number listen to a signal by one listener, which goes with the last', () => {
  const { signal } = new AbortController()
  const ignores = Array.from({ length: 30 }, () => onAbort(signal, () => expect.fail('heard')))
  expect(getEventListeners(signal, 'abort')).toHaveLength(1)
  for (const ignore of ignores) ignore()
  expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  onAbort(signal, () => {})
  for (const ignore of ignores) ignore()
  expect(getEventListeners(signal, 'abort')).toHaveLength(1)
})

test('those hear of it who still listen, each once, and later ones at once', () => {
  const stop = new AbortController()
  const heard: string[] = []
  const hear = (): void => void heard.push('twice')
  onAbort(stop.signal, hear)
  onAbort(stop.signal, hear)
  const ignore = onAbort(stop.signal, () => heard.push('ignored'))
  onAbort(stop.signal, () => heard.push('last'))
  ignore()
  stop.abort()
  expect(heard).toEqual(['twice', 'twice', 'last'])
  onAbort(stop.signal, () => heard.push('late'))()
  expect(heard).toEqual(['twice', 'twice', 'last', 'late'])
  onAbort(undefined, () => expect.fail('heard'))()
})
