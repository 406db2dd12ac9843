/** A volume of the array: its content, and what it says it is. */
export interface Volume {
  readonly name: string
  readonly serial: string
  /** As multipath names it, from VPD page 0x83. */
  readonly wwid: string
  sizeBytes: number
  readonly isReadOnly: boolean
  /** Blocks that were written; all others are zero. */
  readonly blocks: Map<number, Uint8Array>
}

export interface Credentials {
  readonly username: string
  readonly password: string
}

/** What a target demands of the initiator and, if mutual, proves to it. */
export interface TargetChap extends Credentials {
  readonly mutual?: Credentials
}

export interface VolumeSpec {
  readonly name: string
  readonly sizeMiB: number
  /** Hex digits; made up, never twice the same, if left out. */
  readonly serial?: string
  /** What the array lets nobody write to: disks and maps of it are read-only. */
  readonly isReadOnly?: boolean
}

export interface TargetSpec {
  readonly iqn: string
  /** Volume names by LUN. */
  readonly luns: Readonly<Record<number, string>>
  /** All portals, if left out. */
  readonly portals?: readonly string[]
  readonly chap?: TargetChap
}

export interface Target {
  readonly iqn: string
  readonly portals: readonly string[]
  readonly luns: Map<number, Volume>
  chap: TargetChap | undefined
  isRunning: boolean
}

/** `cut`: packets vanish. `refused`: connections are reset. */
export type PortalState = 'up' | 'cut' | 'refused'

/** How the devices behind a portal answer when the kernel asks what they are. */
export interface InquiryBehaviour {
  /** Default 0. */
  readonly takesMs?: number
  /** The write to `rescan` ends with EIO, and the kernel believes what it did before. */
  readonly isFailing?: boolean
  /**
   * While nobody answers the write waits until the session is given up, as the kernel makes it wait. Default false: it ends
   * at once. Either way the kernel believes what it did before.
   */
  readonly isWaiting?: boolean
}

/** The array as the initiator meets it. */
export interface StorageArray {
  readonly portals: readonly [string, string, ...string[]]
  readonly volumes: Map<string, Volume>
  readonly targets: Map<string, Target>
  portalState(portal: string): PortalState
  setPortalState(portal: string, state: PortalState): void
  inquiryBehaviour(portal: string): InquiryBehaviour
  setInquiryBehaviour(portal: string, behaviour: InquiryBehaviour): void
  isStandby(portal: string): boolean
  setStandby(portal: string, isStandby: boolean): void
  addVolume(spec: VolumeSpec): Volume
  addTarget(spec: TargetSpec): void
  /** Whether a session to this target over this portal can live. */
  isReachable(iqn: string, portal: string): boolean
  /** Hears of every change that can end or restore sessions. */
  onChange(listener: () => void): void
  changed(): void
}

const BLOCK_BYTES = 4096
const MIB = 1 << 20
/** LIO makes the NAA designator from the serial: 6, its company id 001405, 25 hex digits. */
const WWID_PREFIX = '36001405'
const SERIAL_DIGITS = 25

export function createArray(portals: StorageArray['portals']): StorageArray {
  const states = new Map<string, PortalState>()
  const inquiries = new Map<string, InquiryBehaviour>()
  const standby = new Set<string>()
  const volumes = new Map<string, Volume>()
  const targets = new Map<string, Target>()
  const listeners: (() => void)[] = []
  let volumesMade = 0
  const newSerial = (): string => `8a0906aaaaaa${(++volumesMade).toString(16).padStart(4, '0')}`
  const changed = (): void => {
    for (const listener of listeners) listener()
  }
  const check = (portal: string): void => {
    if (!portals.includes(portal)) throw new Error(`no such portal: ${portal}`)
  }
  return {
    portals,
    volumes,
    targets,
    portalState: portal => states.get(portal) ?? 'up',
    setPortalState: (portal, state) => {
      check(portal)
      states.set(portal, state)
      changed()
    },
    inquiryBehaviour: portal => inquiries.get(portal) ?? {},
    setInquiryBehaviour: (portal, behaviour) => {
      check(portal)
      inquiries.set(portal, behaviour)
    },
    isStandby: portal => standby.has(portal),
    setStandby: (portal, isStandby) => {
      check(portal)
      if (isStandby) standby.add(portal)
      else standby.delete(portal)
      changed()
    },
    addVolume: ({ name, sizeMiB, serial = newSerial(), isReadOnly = false }) => {
      if (volumes.has(name)) throw new Error(`there is a volume ${name} already`)
      const wwid = `${WWID_PREFIX}${serial
        .replaceAll(/[^0-9a-f]/gi, '')
        .padEnd(SERIAL_DIGITS, '0')
        .slice(0, SERIAL_DIGITS)}`
      const blocks = new Map<number, Uint8Array>()
      const volume = { name, serial, wwid, sizeBytes: sizeMiB * MIB, isReadOnly, blocks }
      volumes.set(name, volume)
      return volume
    },
    addTarget: ({ iqn, luns, chap, portals: at = portals }) => {
      const mapped = Object.entries(luns).map(([lun, name]) => [Number(lun), volumeOf(volumes, name)] as const)
      targets.set(iqn, { iqn, portals: at, luns: new Map(mapped), chap, isRunning: true })
      changed()
    },
    isReachable: (iqn, portal) => {
      const target = targets.get(iqn)
      return target?.isRunning === true && target.portals.includes(portal) && (states.get(portal) ?? 'up') === 'up'
    },
    onChange: listener => {
      listeners.push(listener)
    },
    changed,
  }
}

export function volumeOf(volumes: ReadonlyMap<string, Volume>, name: string): Volume {
  const volume = volumes.get(name)
  if (volume === undefined) throw new Error(`there is no volume ${name}`)
  return volume
}

export function readVolume(volume: Volume, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(Math.max(0, Math.min(length, volume.sizeBytes - offset)))
  for (let done = 0; done < bytes.length; ) {
    const at = offset + done
    const block = volume.blocks.get(Math.floor(at / BLOCK_BYTES))
    const start = at % BLOCK_BYTES
    const count = Math.min(BLOCK_BYTES - start, bytes.length - done)
    if (block !== undefined) bytes.set(block.subarray(start, start + count), done)
    done += count
  }
  return bytes
}

export function writeVolume(volume: Volume, offset: number, data: Uint8Array): void {
  for (let done = 0; done < data.length; ) {
    const at = offset + done
    const index = Math.floor(at / BLOCK_BYTES)
    const block = volume.blocks.get(index) ?? new Uint8Array(BLOCK_BYTES)
    const start = at % BLOCK_BYTES
    const count = Math.min(BLOCK_BYTES - start, data.length - done)
    block.set(data.subarray(done, done + count), start)
    volume.blocks.set(index, block)
    done += count
  }
}
