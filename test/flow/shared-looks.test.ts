import { expect, test } from 'vitest'
import { createLooks } from '../../src/flow/shared-looks.ts'

/** Looks that end when they are told to; each finds its number. */
function createLook() {
  const ends: (() => void)[] = []
  const look = async (): Promise<number> => {
    const number = ends.length
    await new Promise<void>(resolve => ends.push(resolve))
    return number
  }
  const settled = async (): Promise<void> => await new Promise(resolve => setImmediate(resolve))
  return { look, ends, settled }
}

test('those who ask at the same time share one look', async () => {
  const { look, ends, settled } = createLook()
  const looks = createLooks()
  const asked = [looks.share('a', look), looks.share('a', look)]
  await settled()
  expect(ends).toHaveLength(1)
  ends[0]?.()
  expect(await Promise.all(asked)).toEqual([0, 0])
})

test('whoever asks while one is on its way gets what the next one finds, with all who do', async () => {
  const { look, ends, settled } = createLook()
  const looks = createLooks()
  const first = looks.share('a', look)
  await settled()
  const others = [looks.share('a', look), looks.share('a', look)]
  await settled()
  expect(ends).toHaveLength(1)
  ends[0]?.()
  await settled()
  expect(ends).toHaveLength(2)
  ends[1]?.()
  expect(await Promise.all([first, ...others])).toEqual([0, 1, 1])
})

test('one that fails fails for those who share it, and for nobody else', async () => {
  const looks = createLooks()
  const failing = async (): Promise<number> => await Promise.reject(new Error('no'))
  const first = looks.share('a', failing)
  const same = looks.share('a', failing)
  await expect(first).rejects.toThrow('no')
  await expect(same).rejects.toThrow('no')
  expect(await looks.share('a', async () => 7)).toBe(7)
})

test('looks of different names go on side by side', async () => {
  const { look, ends, settled } = createLook()
  const looks = createLooks()
  const asked = [looks.share('a', look), looks.share('b', look)]
  await settled()
  expect(ends).toHaveLength(2)
  for (const end of ends) end()
  expect(await Promise.all(asked)).toEqual([0, 1])
})
