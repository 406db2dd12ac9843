/** What either end of a device says it does: Linux's xenbus_strstate(). */
export type XenbusState =
  | 'Unknown'
  | 'Initialising'
  | 'InitWait'
  | 'Initialised'
  | 'Connected'
  | 'Closing'
  | 'Closed'
  | 'Reconfiguring'
  | 'Reconfigured'

/** By their numbers: Xen's public io/xenbus.h. */
export const XENBUS_STATES: readonly XenbusState[] = [
  'Unknown',
  'Initialising',
  'InitWait',
  'Initialised',
  'Connected',
  'Closing',
  'Closed',
  'Reconfiguring',
  'Reconfigured',
]
