import { describe, expect, test } from 'vitest'
import { scenarios } from '../scenarios/index.ts'
import { createSimulatedWorld } from './world.ts'

describe('scenarios on the simulated dom0', () => {
  test.each(scenarios.filter(({ onlyOnDom0 }) => onlyOnDom0 === undefined))('$name', async scenario => {
    const world = createSimulatedWorld()
    await scenario.run(world)
    await world.expectClean()
    expect((await world.snapshot()).sessions).toEqual([])
  })
})
