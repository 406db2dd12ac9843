import { mkdir, writeFile } from 'node:fs/promises'
import { type BeatLog, readBeat, verifyLog, type WaitForBeatOptions, waitForBeat } from './beats.ts'
import { readText } from './files.ts'
import { run, tryRun } from './run.ts'

export interface GuestSpec {
  readonly name: string
  /** As in the `disk` list of xl.cfg, e.g. `phy:/dev/loop0,xvda,w`. */
  readonly disks: readonly string[]
  readonly memoryMiB?: number
  /** Paravirtual, if left out. */
  readonly type?: 'pv' | 'pvh'
}

/** Paravirtual guests. All errors hold what xl wrote to stderr. */
export interface Guest {
  create(spec: GuestSpec): Promise<void>
  destroy(name: string): Promise<void>
  blockAttach(name: string, disk: string): Promise<void>
  blockDetach(name: string, vdev: string): Promise<void>
  /** Names of all guests. */
  list(): Promise<string[]>
  exists(name: string): Promise<boolean>
  domid(name: string): Promise<number>
  /** What the guest has written to its console. */
  console(name: string): string

  /** The counter that a guest keeps on the volume; 0 before the first. */
  beat(volume: string): Promise<number>
  /** Resolves with the beat, when the guest has written a newer one. */
  waitForBeat(volume: string, options?: WaitForBeatOptions): Promise<number>
  /** Throws if any byte of the guest's log on the volume is not what the guest wrote there. */
  verifyLog(volume: string): Promise<BeatLog>
}

// The first run of everything in a new guest takes long under emulation.
const xlTimeoutMs = 180_000
const xl = (...args: readonly string[]): Promise<string> => run('xl', args, { timeoutMs: xlTimeoutMs })

// What QEMU tells a PVH guest about XSAVE contradicts itself.
const extraOf = { pv: '', pvh: ' noxsave' }

const configOf = ({ name, disks, memoryMiB = 128, type = 'pv' }: GuestSpec): string => `name = "${name}"
type = "${type}"
kernel = "/boot/vmlinuz"
ramdisk = "/lab/domu-initrd"
extra = "console=hvc0 quiet loglevel=4 panic=-1${extraOf[type]}"
memory = ${memoryMiB}
vcpus = 1
on_poweroff = "destroy"
on_reboot = "destroy"
on_crash = "destroy"
disk = [ ${disks.map(disk => `'${disk}'`).join(', ')} ]
`

const create = async (spec: GuestSpec): Promise<void> => {
  await mkdir('/run/lab', { recursive: true })
  const config = `/run/lab/${spec.name}.cfg`
  await writeFile(config, configOf(spec))
  await xl('create', config)
}

const list = async (): Promise<string[]> => {
  const lines = (await xl('list')).trim().split('\n').slice(1)
  return lines.flatMap(line => line.split(/\s+/, 1)).filter(name => name !== 'Domain-0')
}

export const createGuest = (): Guest => ({
  create,
  destroy: async name => {
    await xl('destroy', name)
  },
  blockAttach: async (name, disk) => {
    await xl('block-attach', name, disk)
  },
  blockDetach: async (name, vdev) => {
    await xl('block-detach', name, vdev)
  },
  list,
  exists: async name => (await tryRun('xl', ['domid', name])).exitCode === 0,
  domid: async name => Number(await xl('domid', name)),
  console: name => readText(`/var/log/xen/console/guest-${name}.log`),
  beat: readBeat,
  waitForBeat,
  verifyLog,
})
