import { verifyLun } from '../../lun/verify.ts'
import type { Io } from '../io.ts'
import { type Report, table } from '../report.ts'

export interface VerifyArguments {
  readonly lun?: number
  readonly wwid?: string
}

/** Asks the array which volume a LUN is; another one is an error. */
export async function reportVerify(
  { host, signal }: Io,
  target: string,
  { lun, wwid }: VerifyArguments
): Promise<Report> {
  const request = { target, lun, ...(wwid !== undefined && { expected: { wwid } }) }
  const verified = await verifyLun(request, { host, signal })
  const rows = verified.paths.map(path => [
    path.disk,
    path.isLive ? 'answers' : 'down',
    path.wwid ?? '-',
    path.serial ?? '-',
  ])
  const lines = [
    `${verified.device} is ${verified.wwid ?? 'a volume without a name'}, ${verified.sizeBytes} bytes`,
    ...table([['DISK', 'STATE', 'WWID', 'SERIAL'], ...rows]),
  ]
  return { json: verified, lines, exitCode: 0 }
}
