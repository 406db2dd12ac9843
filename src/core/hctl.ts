import { LunError } from './error.ts'

/** Address of a SCSI device: host, channel, target, LUN. */
export interface Hctl {
  readonly host: number
  readonly channel: number
  readonly target: number
  readonly lun: number
}

const HCTL = /^(\d+):(\d+):(\d+):(\d+)$/

/** `3:0:0:300`, as sysfs names the device. */
export function formatHctl({ host, channel, target, lun }: Hctl): string {
  return `${host}:${channel}:${target}:${lun}`
}

/** Reads `3:0:0:300`. @throws {@link LunError} `UNEXPECTED_OUTPUT` */
export function parseHctl(text: string): Hctl {
  const [, host, channel, target, lun] = HCTL.exec(text) ?? []
  if (lun === undefined) {
    throw new LunError('UNEXPECTED_OUTPUT', `not host:channel:target:lun: ${text.slice(0, 60)}`, {
      tool: 'sysfs',
      line: 1,
      text: text.slice(0, 200),
    })
  }
  return { host: Number(host), channel: Number(channel), target: Number(target), lun: Number(lun) }
}
