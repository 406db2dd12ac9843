import { XENBUS_STATES, type XenbusState } from '../../core/xenbus-state.ts'
import { openBlock } from './claims.ts'
import { findDevice, type Kernel } from './kernel.ts'
import type { Proc } from './proc.ts'
import { attribute, fileError, link, type Tree, type TreeDevice } from './tree.ts'
import type { XenstoreModel } from './xenstore.ts'

/** A guest. */
export interface DomainSpec {
  readonly domid: number
  readonly name: string
  readonly uuid: string
  /** The domain it serves as a stub domain: its number. */
  readonly target?: number
}

/** A disk that is served to a domain, as a toolstack makes it known. */
export interface BackendSpec {
  readonly domid: number
  /** Who serves it: default 0, this dom0. Of a driver domain there is what xenstore says of it, and no more. */
  readonly backendDomid?: number
  /** `51712` is xvda. */
  readonly devid: number
  /** Default `vbd`: the kernel's blkback. `qdisk` is served by QEMU, a process. */
  readonly kind?: 'vbd' | 'qdisk'
  /** Default `w`. */
  readonly mode?: 'r' | 'w'
  /** Default: what the toolstack writes for `device`. */
  readonly params?: string
  /** Path of the device node that is served once it connects. */
  readonly device?: string
}

/** The backend of one disk. */
export interface XenBackend {
  /** `/local/domain/0/backend/vbd/1/51712` */
  readonly path: string
  /**
   * Opens the device and serves it. A vbd takes what xenstore's `physical-device` says, which is written from `device` if
   * it is not there; it does the same by itself as soon as somebody else writes that node.
   */
  connect(): void
  /** What the backend says it does. The device stays open until {@link XenBackend.remove}. */
  setState(state: XenbusState): void
  /**
   * The frontend is gone: the kernel closes the device and says so; the directory stays. The toolstack runs its script
   * now, and removes the directory then.
   */
  disconnect(): void
  /** Closes the device; backend and frontend are gone from xenstore. Removing it from xenstore does the same. */
  remove(): void
}

/** Domains and their disks. */
export interface SimulatedXen {
  addDomain(spec: DomainSpec): void
  /** Its backends stay, as they do when a toolstack fails to remove them. */
  removeDomain(domid: number): void
  addBackend(spec: BackendSpec): XenBackend
}

interface XenParts {
  readonly tree: Tree
  readonly kernel: Kernel
  readonly proc: Proc
  readonly xenstore: XenstoreModel
}

const FIRST_QEMU_PID = 2000

export function createXen(parts: XenParts): SimulatedXen {
  const { tree, xenstore } = parts
  return {
    addDomain: ({ domid, name, uuid, target }) => {
      xenstore.write({
        [`/local/domain/${domid}/vm`]: `/vm/${uuid}`,
        [`/local/domain/${domid}/name`]: name,
        [`/local/domain/${domid}/domid`]: String(domid),
        ...(target !== undefined && { [`/local/domain/${domid}/target`]: String(target) }),
        [`/vm/${uuid}/name`]: name,
        [`/vm/${uuid}/uuid`]: uuid,
      })
      xenstore.announce('@introduceDomain')
    },
    removeDomain: domid => {
      const vm = xenstore.values.get(`/local/domain/${domid}/vm`)
      xenstore.remove(`/local/domain/${domid}`)
      xenstore.remove(`/libxl/${domid}`)
      if (vm !== undefined) xenstore.remove(vm)
      xenstore.announce('@releaseDomain')
    },
    addBackend: spec => {
      const { kind = 'vbd', domid, backendDomid = 0, devid, mode = 'w', device = '' } = spec
      const path = `/local/domain/${backendDomid}/backend/${kind}/${domid}/${devid}`
      const notes = `/libxl/${domid}/device/vbd/${devid}`
      const isHere = backendDomid === 0
      if (xenstore.values.has(path)) throw new Error(`there is a backend ${path} already`)
      const frontend = `/local/domain/${domid}/device/vbd/${devid}`
      const write = (name: string, value: string | number): void =>
        xenstore.write({ [`${path}/${name}`]: String(value) })
      const setState = (state: XenbusState): void => write('state', XENBUS_STATES.indexOf(state))
      write('frontend', frontend)
      write('frontend-id', domid)
      write('online', 1)
      write('params', spec.params ?? (kind === 'qdisk' ? `aio:${device}` : device))
      write('type', kind === 'qdisk' ? 'qdisk' : 'phy')
      write('mode', mode)
      setState('InitWait')
      xenstore.write({
        [`${frontend}/backend`]: path,
        [`${frontend}/backend-id`]: String(backendDomid),
        [`${notes}/frontend`]: frontend,
        [`${notes}/backend`]: path,
      })

      const open = kind === 'qdisk' ? () => openByQemu(parts, spec) : () => openByBlkback(parts, spec, path)
      const hide = kind === 'qdisk' || !isHere ? () => {} : publishBackend(parts, spec, path)
      let close: (() => void) | undefined
      let isPresent = true
      let isClosed = false
      const serve = (): void => {
        if (close !== undefined || isClosed || !isPresent || !isHere) return
        close = open()
        if (close !== undefined) setState('Connected')
      }
      xenstore.onChange(({ path: changed }) => {
        if (changed === `${path}/physical-device` && kind === 'vbd') serve()
        if (!isPresent || xenstore.values.has(path)) return
        isPresent = false
        if (isClosed) return
        close?.()
        hide()
      })
      return {
        path,
        connect: () => {
          if (kind === 'vbd' && !xenstore.values.has(`${path}/physical-device`)) {
            const { major, minor } = nodeAt(tree, device)
            write('physical-device', `${major.toString(16)}:${minor.toString(16)}`)
          }
          serve()
          if (close === undefined) throw new Error(`${path} has no device to connect to`)
        },
        setState: state => {
          if (isPresent) setState(state)
        },
        disconnect: () => {
          if (isClosed || !isPresent) return
          isClosed = true
          close?.()
          hide()
          setState('Closed')
        },
        remove: () => {
          xenstore.remove(path)
          xenstore.remove(frontend)
          xenstore.remove(notes)
        },
      }
    },
  }
}

function nodeAt(tree: Tree, path: string): TreeDevice {
  const node = tree.find(path)
  if (node?.kind !== 'device') throw fileError('ENOENT', path)
  return node
}

function openByBlkback(
  { tree, kernel, xenstore }: XenParts,
  { domid, devid, mode = 'w' }: BackendSpec,
  path: string
): (() => void) | undefined {
  const words = /^([0-9a-f]+):([0-9a-f]+)$/.exec(xenstore.values.get(`${path}/physical-device`) ?? '')
  const [major, minor] = words?.slice(1).map(word => Number.parseInt(word, 16)) ?? []
  const device = major === undefined || minor === undefined ? undefined : findDevice(kernel, { major, minor })
  if (device === undefined) return undefined
  const show = (name: string, text: string): void =>
    tree.put(
      `/sys/devices/vbd-${domid}-${devid}/${name}`,
      attribute(() => `${text}\n`)
    )
  show('physical_device', `${device.major.toString(16)}:${device.minor.toString(16)}`)
  show('mode', mode)
  return openBlock(device)
}

/** drivers/xen/xenbus: there from the moment the toolstack has written the backend. Returns what takes it away. */
function publishBackend({ tree, xenstore }: XenParts, { domid, devid }: BackendSpec, path: string): () => void {
  const name = `vbd-${domid}-${devid}`
  const folder = `/sys/devices/${name}`
  const show = (attributeName: string, read: () => string): void =>
    tree.put(
      `${folder}/${attributeName}`,
      attribute(() => `${read()}\n`)
    )
  show('nodename', () => path.replace('/local/domain/0/', ''))
  show('devtype', () => 'vbd')
  show('state', () => XENBUS_STATES[Number(xenstore.values.get(`${path}/state`))] ?? 'Unknown')
  const entry = link(folder)
  tree.put(`/sys/bus/xen-backend/devices/${name}`, entry)
  return () => {
    // After a reboot there may be another one of that name.
    if (tree.find(`/sys/bus/xen-backend/devices/${name}`, { isLink: true }) !== entry) return
    tree.remove(`/sys/bus/xen-backend/devices/${name}`)
    tree.remove(folder)
  }
}

/** One QEMU serves all disks of a domain. */
function openByQemu({ tree, kernel, proc }: XenParts, { domid, device: path = '' }: BackendSpec): () => void {
  const node = nodeAt(tree, path)
  const device = findDevice(kernel, node)
  const pid = FIRST_QEMU_PID + domid
  proc.addProcess(pid, ['/usr/bin/qemu-system-i386', '-xen-domid', String(domid)])
  const closeFile = proc.openFile({ pid, path, node })
  const close = device === undefined ? () => {} : openBlock(device)
  return () => {
    close()
    closeFile()
    if (tree.list(`/proc/${pid}/fd`).length === 0) proc.removeProcess(pid)
  }
}
