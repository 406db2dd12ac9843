import { integer } from './check.ts'

/** Largest number of the flat addressing method, SAM-5 4.7.7.5; sysfs and open-iscsi count up to it. */
export const MAX_LUN = 16_383

/** Checks a LUN number, 0 to 16383. @throws {@link LunError} `INVALID_INPUT` */
export function lunNumber(value: number, field = 'lun'): number {
  return integer(value, field, 0, MAX_LUN)
}
