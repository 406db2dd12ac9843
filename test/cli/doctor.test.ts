import { expect, test } from 'vitest'
import { doctor } from 'xen-lun'
import { createSimulatedDom0 } from 'xen-lun/testing'
import { report } from '../../examples/doctor/report.ts'

test('the report has the gravest first, with advice, and what is well only if wanted', async () => {
  const { findings } = await doctor(createSimulatedDom0({ faults: { stopped: ['iscsid'] } }))
  const lines = report(findings, { isAll: false })
  expect(lines).toEqual([
    'error   iscsid: iscsid does not run: nobody listens on its socket.',
    '        Start iscsid (systemctl start iscsid); sessions that are lost come back only with it.',
    'warning no-path-retry: I/O fails as soon as the last path is gone (no_path_retry fail): guests see errors at once.',
    '        Set no_path_retry to a number in /etc/multipath.conf: so many checks I/O waits for a path, and fails then.',
    '19 of 21 findings are ok',
  ])
  expect(report(findings, { isAll: true })).toContain('ok      multipathd: multipathd answers.')
})
