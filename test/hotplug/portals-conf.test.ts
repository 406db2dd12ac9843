import { expect, test } from 'vitest'
import { parsePortalsConf } from '../../src/hotplug/portals-conf.parse.ts'

test.each([
  ['', []],
  ['PORTALS=(10.0.1.1 10.0.2.1)', ['10.0.1.1', '10.0.2.1']],
  ['PORTALS="10.0.1.1 10.0.2.1"', ['10.0.1.1', '10.0.2.1']],
  ["PORTALS='10.0.1.1'", ['10.0.1.1']],
  ['PORTALS=10.0.1.1 # the first', ['10.0.1.1']],
  ['PORTALS[0]=10.0.1.1\nPORTALS[1]=10.0.2.1', ['10.0.1.1', '10.0.2.1']],
  ['PORTALS=(10.0.1.1)\nPORTALS+=(10.0.2.1)', ['10.0.1.1', '10.0.2.1']],
  ['PORTALS=(10.0.1.1)\nPORTALS=(10.0.2.1)', ['10.0.2.1']],
  ['PORTALS=( # both\n  10.0.1.1 # one\n\n  "[fd00::1]:3260"\n)', ['10.0.1.1', '[fd00::1]:3260']],
  ['declare -a PORTALS=(10.0.1.1)', ['10.0.1.1']],
  ['# PORTALS=(10.0.9.9)\nLOG=`date`; export X=$(id)\nPORTALS=()', []],
  ['MYPORTALS=(10.0.9.9)', []],
])('%j', (text, portals) => {
  expect(parsePortalsConf(text)).toEqual(portals)
})

test.each([
  ['PORTALS=($(portals))', 'line 1'],
  ['\nPORTALS="$A 10.0.1.1"', 'line 2'],
  ['PORTALS=`portals`', 'line 1'],
  ['PORTALS=(10.0.{1,2}.1)', 'line 1'],
  ['PORTALS=(10.0.1.1', 'no end'],
  [`PORTALS=(${'10.0.1.1 '.repeat(65)})`, 'more than 64'],
])('%j would have to be executed, and is not', (text, reason) => {
  expect(() => parsePortalsConf(text)).toThrow(expect.objectContaining({ code: 'UNEXPECTED_OUTPUT' }))
  expect(() => parsePortalsConf(text)).toThrow(reason)
})
