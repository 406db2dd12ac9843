import type { MountOptions, SimulatedDom0 } from 'xen-lun/testing'
import { type Place, pick, type RandomWorld } from './world.ts'

/** Somebody who has a device: while he has it, it must not go. */
interface Use {
  readonly name: string
  /** `map 3600…` or `disk sda` */
  readonly device: string
  /** The owner's hold on which it lives. */
  readonly hold: string
  readonly release: () => void
}

/** Who uses what now, and what became of devices under their users. */
export interface Uses {
  /** Takes the device of a hold in one of the ways a host knows, unless the kernel refuses it. */
  take(hold: string, node: string): void
  /** Takes one path of a LUN by itself, beside whatever stands on it, while a hold keeps it from being taken away. */
  takePath(hold: string, place: Place): void
  /** A guest's disk, which its backend has open. */
  serve(hold: string, node: string): void
  release(hold: string): void
  releaseAll(): void
  /** Notes devices that are gone. */
  look(): void
  /** Devices that went while somebody had them. */
  readonly lost: readonly string[]
  /** How often each kind of use was there. */
  readonly counts: ReadonlyMap<string, number>
}

type Way = (dom0: SimulatedDom0, node: string, pid: number) => () => void

const stack = (dom0: SimulatedDom0, on: string, pid: number, uuid: string): (() => void) => {
  const stacked = dom0.stackDevice({ on, name: `stacked${pid}`, uuid })
  return () => stacked.remove()
}
const open = (dom0: SimulatedDom0, node: string, pid: number, as?: string): (() => void) => {
  const opened = dom0.openDevice(node, pid, 'postgres', as === undefined ? {} : { as })
  return () => opened.close()
}
const mount = (dom0: SimulatedDom0, node: string, pid: number, options: MountOptions): (() => void) => {
  const mounted = dom0.mount(node, `/srv/${pid}`, options)
  return () => mounted.unmount()
}
const BESIDE_A_MAP: Readonly<Record<string, Way>> = {
  open: (dom0, node, pid) => open(dom0, node, pid),
  'open by another name': (dom0, node, pid) => open(dom0, node, pid, '/dev/xvda'),
  LVM: (dom0, node, pid) => stack(dom0, node, pid, `LVM-${pid}`),
  crypt: (dom0, node, pid) => stack(dom0, node, pid, `CRYPT-PLAIN-${pid}`),
}
const WAYS: typeof BESIDE_A_MAP = {
  ...BESIDE_A_MAP,
  mount: (dom0, node, pid) => mount(dom0, node, pid, {}),
  btrfs: (dom0, node, pid) => mount(dom0, node, pid, { fsType: 'btrfs' }),
  'mount elsewhere': (dom0, node, pid) => mount(dom0, node, pid, { isElsewhere: true }),
  swap: (dom0, node) => {
    const swap = dom0.swapOn(node)
    return () => swap.swapOff()
  },
  claim: (dom0, node) => {
    const claimed = dom0.claimDevice(node)
    return () => claimed.release()
  },
}
const FIRST_PID = 5000

export function createUses({ dom0, random }: RandomWorld): Uses {
  const uses = new Set<Use>()
  const counts = new Map<string, number>()
  const lost: string[] = []
  let nextPid = FIRST_PID
  const present = (): readonly string[] => {
    const { maps, disks } = dom0.state()
    return [...maps.map(({ name }) => `map ${name}`), ...disks.map(({ name }) => `disk ${name}`)]
  }
  const note = (kind: string, node: string, use: Pick<Use, 'hold' | 'release'>): void => {
    counts.set(kind, (counts.get(kind) ?? 0) + 1)
    const device = node.startsWith('/dev/mapper/')
      ? `map ${node.slice('/dev/mapper/'.length)}`
      : `disk ${node.slice(5)}`
    uses.add({ name: `${kind} of ${node}`, device, ...use })
  }
  const begin = (ways: typeof WAYS, node: string, hold: string): void => {
    const kind = pick(random, Object.keys(ways))
    try {
      const release = ways[kind]?.(dom0, node, nextPid++)
      if (release !== undefined) note(kind, node, { hold, release })
    } catch {
      // What two cannot have, such as a mount of what is below a map; or the device has gone in good order.
    }
  }
  const end = (use: Use): void => {
    uses.delete(use)
    if (present().includes(use.device)) use.release()
  }
  return {
    lost,
    counts,
    take: (hold, node) => begin(WAYS, node, hold),
    takePath: (hold, { target, lun }) => {
      const { disks: all, sessions } = dom0.state()
      const sids = sessions.filter(({ iqn }) => iqn === target).map(({ id }) => id)
      const disks = all.filter(disk => disk.lun === lun && sids.includes(disk.sessionId))
      if (disks.length > 0) begin(BESIDE_A_MAP, `/dev/${pick(random, disks).name}`, hold)
    },
    serve: (hold, node) => note('guest', node, { hold, release: () => {} }),
    release: hold => {
      for (const use of uses) if (use.hold === hold) end(use)
    },
    releaseAll: () => {
      for (const use of uses) end(use)
    },
    look: () => {
      if (uses.size === 0) return
      const names = present()
      for (const use of uses) {
        if (names.includes(use.device)) continue
        uses.delete(use)
        lost.push(`${use.device} went under ${use.name}`)
      }
    },
  }
}
