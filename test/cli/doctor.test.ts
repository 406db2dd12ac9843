import { expect, test } from 'vitest'
import { doctor } from 'xen-lun'
import { createSimulatedDom0 } from 'xen-lun/testing'
import { cli, json } from './helpers.ts'

test('doctor tells the gravest first, with advice, and what is well only if wanted', async () => {
  const { host } = createSimulatedDom0({ faults: { stopped: ['iscsid'] } })
  expect(await cli(host, ['doctor'])).toEqual({
    exitCode: 1,
    stdout: `error   iscsid: iscsid does not run: nobody listens on its socket.
        Start iscsid (systemctl start iscsid); sessions that are lost come back only with it.
warning no-path-retry: I/O fails as soon as the last path is gone (no_path_retry fail): guests see errors at once.
        Set no_path_retry to a number in /etc/multipath.conf: so many checks I/O waits for a path, and fails then.
20 of 22 findings are ok
`,
    stderr: '',
  })
  expect((await cli(host, ['doctor', '--all'])).stdout).toContain('ok      multipathd: multipathd answers.\n')
})

test('doctor has every finding in JSON, and exits with 0 where there are warnings only', async () => {
  const { host } = createSimulatedDom0()
  const { findings, worst } = await doctor({ host })
  expect(worst).toBe('warning')
  expect(await json(host, ['doctor'])).toEqual({ worst, findings })
  expect((await cli(host, ['doctor', '--json'])).exitCode).toBe(0)
})
