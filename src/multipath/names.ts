import { invalid } from '../core/check.ts'

const DEVICE = /^[a-z][a-z0-9-]{0,30}$/ // DISK_NAME_LEN is 32, include/linux/blkdev.h
const MAP = /^[A-Za-z0-9_][A-Za-z0-9_.:+@#=-]{0,126}$/ // DM_NAME_LEN is 128; udev allows these without escaping

/** Checks the kernel's name of a block device, such as `sdb`. @throws {@link LunError} `INVALID_INPUT` */
export function deviceName(text: string, field = 'device'): string {
  if (typeof text === 'string' && DEVICE.test(text)) return text
  throw invalid(field, text, 'is not the name of a block device such as sdb')
}

/** Checks the name of a map: an alias such as `mpatha`, or a WWID. @throws {@link LunError} `INVALID_INPUT` */
export function mapName(text: string, field = 'map'): string {
  if (typeof text === 'string' && MAP.test(text)) return text
  throw invalid(field, text, 'is not the name of a multipath map')
}
