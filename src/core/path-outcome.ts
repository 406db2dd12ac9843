/** How one path, i.e. one portal through one interface, fared. */
export interface PathOutcome {
  /** `10.0.1.1:3260` */
  readonly portal: string
  /** open-iscsi's name of the interface, `default` unless asked for. */
  readonly iface: string
  /** `up`: usable. `pending`: still being tried. `failed`: given up, see `error`. */
  readonly state: 'up' | 'pending' | 'failed'
  /** `3:0:0:1`, as soon as the SCSI device exists. */
  readonly hctl?: string | undefined
  /** `sdb`, as soon as the disk exists. */
  readonly disk?: string | undefined
  /** Why the path failed. */
  readonly error?: Error | undefined
}
