import { expect, test } from 'vitest'
import { LunError, type LunEvent } from 'xen-lun'
import { describeEvent } from '../../src/hotplug/event-line.ts'

const context = { operation: 'attach', target: 'iqn.2001-05.com.example:vm1', lun: 0, elapsedMs: 12 } as const
const path = { portal: '10.0.1.1:3260', iface: 'default' }
const error = new LunError('LUN_NOT_FOUND', 'no LUN 0', { target: context.target, lun: 0, hctls: [] })

test.each<[LunEvent, string | undefined]>([
  [{ ...context, type: 'start', step: 'login' }, 'login at 12 ms'],
  [{ ...context, type: 'end', step: 'login' }, undefined],
  [{ ...context, type: 'path', path: { ...path, state: 'pending' } }, 'path 10.0.1.1:3260 default pending at 12 ms'],
  [
    { ...context, type: 'path', path: { ...path, state: 'failed', error } },
    'path 10.0.1.1:3260 default failed at 12 ms: no LUN 0',
  ],
  [{ ...context, type: 'warning', message: 'one plain path only' }, 'warning: one plain path only'],
  [{ ...context, type: 'failed', message: 'no LUN 0' }, 'taking back, because: no LUN 0'],
])('%j', (event, line) => {
  expect(describeEvent(event)).toBe(line)
})
