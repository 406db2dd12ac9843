/** What either end of a device says it does, by number: Xen's public io/xenbus.h, and Linux's xenbus_strstate(). */
export const XENBUS_STATES = [
  'Unknown',
  'Initialising',
  'InitWait',
  'Initialised',
  'Connected',
  'Closing',
  'Closed',
  'Reconfiguring',
  'Reconfigured',
] as const

export type XenbusState = (typeof XENBUS_STATES)[number]
