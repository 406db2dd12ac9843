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

/** Reads `3:0:0:300`; `undefined` for any other text, and for a number that JavaScript would round. */
export function readHctl(text: string): Hctl | undefined {
  const [, host, channel, target, lun] = HCTL.exec(text) ?? []
  if (lun === undefined) return undefined
  const hctl = { host: Number(host), channel: Number(channel), target: Number(target), lun: Number(lun) }
  return formatHctl(hctl) === text ? hctl : undefined
}

/** Reads `3:0:0:300`. @throws {@link LunError} `UNEXPECTED_OUTPUT` */
export function parseHctl(text: string): Hctl {
  const hctl = readHctl(text)
  if (hctl === undefined) {
    throw new LunError('UNEXPECTED_OUTPUT', `not host:channel:target:lun: ${text.slice(0, 60)}`, {
      tool: 'sysfs',
      line: 1,
      text: text.slice(0, 200),
    })
  }
  return hctl
}
