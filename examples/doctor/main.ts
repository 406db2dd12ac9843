// Says what will bite whoever attaches LUNs on this host; exits with 1 if attaching does not work.
//
//   node examples/doctor/main.js [--all]
import { doctor } from 'xen-lun'
import { report } from './report.ts'

const { findings, worst } = await doctor()
for (const line of report(findings, { isAll: process.argv.includes('--all') })) console.log(line)
process.exitCode = worst === 'error' ? 1 : 0
