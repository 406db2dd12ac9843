import { describe, expect, it } from 'vitest'
import { parseJson } from '../../src/core/decode.ts'

describe('a place in JSON', () => {
  const json = parseJson('{"a": [{"b": "text", "n": 7, "big": 1e300, "half": 0.5}], "toString": null}', 'tool')

  it('is reached by name and number', () => {
    const [first] = json.at('a').items()
    expect(first?.at('b').text()).toBe('text')
    expect(first?.at('n').integer()).toBe(7)
    expect(first?.find('c')).toBeUndefined()
  })

  it.each([
    ['b', () => json.at('a').items()[0]?.at('b').integer(), 'a[0].b is no integer'],
    ['n', () => json.at('a').items()[0]?.at('n').text(), 'a[0].n is no text'],
    ['big', () => json.at('a').items()[0]?.at('big').integer(), 'a[0].big is no integer'],
    ['half', () => json.at('a').items()[0]?.at('half').integer(), 'a[0].half is no integer'],
    ['c', () => json.at('a').items()[0]?.at('c'), 'a[0].c is missing'],
    ['the whole', () => json.text(), 'the whole is no text'],
    ['what objects inherit', () => json.at('valueOf'), 'valueOf is missing'],
    ['null', () => json.at('toString').items(), 'toString is no array'],
  ])('is named when it is wrong: %s', (_, look, problem) => {
    expect(look).toThrow(expect.objectContaining({ code: 'UNEXPECTED_OUTPUT', message: `tool: ${problem}` }))
  })

  it('shows the start of what is no JSON', () => {
    expect(() => parseJson('ERROR', 'tool')).toThrow(
      expect.objectContaining({ code: 'UNEXPECTED_OUTPUT', details: { tool: 'tool', line: 1, text: 'ERROR' } })
    )
  })
})
