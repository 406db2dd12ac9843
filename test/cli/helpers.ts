import { createLocalHost, type Host } from 'xen-lun'
import type { Io, Self } from '../../src/cli/io.ts'
import { runCli } from '../../src/cli/program.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { createFakeLocks } from '../support/fake-locks.ts'
import { createMemoryFiles, type MemoryFiles, type MemoryTree } from '../support/memory-files.ts'

export const self: Self = { version: '1.2.3', nodePath: '/usr/bin/node', folder: '/src', home: '/root' }

export interface Run {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

/** One command line on a host. */
export async function cli(
  host: Host,
  args: readonly string[],
  changes: Partial<Pick<Io, 'signal' | 'self' | 'startLater'>> = {}
): Promise<Run> {
  const said = { stdout: '', stderr: '' }
  const write = (where: keyof typeof said) => (text: string) => {
    said[where] += text
  }
  const io = { host, signal: new AbortController().signal, self, startLater: async () => {}, ...changes }
  const exitCode = await runCli(args, { ...io, stdout: write('stdout'), stderr: write('stderr') })
  return { exitCode, ...said }
}

/** What a command says with `--json`; nothing else may be printed. */
export async function json(host: Host, [command = '', ...args]: readonly string[]): Promise<unknown> {
  const { stdout, stderr } = await cli(host, [command, '--json', ...args])
  if (stderr !== '') throw new Error(stderr)
  return JSON.parse(stdout)
}

const FILE = '/etc/xen/scripts/block-iscsi'
const AWAY = `${FILE}.xen`

/** A Debian dom0 as files, with a dpkg-divert, a systemctl and a node that note how they were called. */
export interface InstallHost {
  readonly host: Host
  readonly files: MemoryFiles
  readonly calls: string[]
  /** What dpkg knows of block-iscsi. */
  readonly diversion: { by: string; to: string }
  /** Every file with its text and mode. */
  readonly tree: () => unknown
}

export const XEN_SCRIPT = '#!/bin/bash -e\n# Open-iSCSI Xen block device hotplug script\n'

export function createInstallHost(tree: MemoryTree = {}): InstallHost {
  const files = createMemoryFiles({
    ...tree,
    files: {
      '/src/block-xen-lun.cjs': '#!/usr/bin/env node\n// xen-lun bundle\nblock()\n',
      '/src/xen-lun.cjs': '#!/usr/bin/env node\n// xen-lun bundle\ncommand()\n',
      [FILE]: XEN_SCRIPT,
      '/var/lib/dpkg/diversions': '',
      '/etc/logrotate.conf': 'weekly\nrotate 4\ninclude /etc/logrotate.d\n',
      ...tree.files,
    },
  })
  for (const folder of ['/run/systemd/system', '/etc/systemd/system', '/etc/logrotate.d', '/usr/local/sbin'])
    files.directories.add(folder)
  files.modes.set(FILE, 0o755)
  const calls: string[] = []
  const diversion = { by: '', to: FILE }
  const move = (from: string, to: string): number => {
    const text = files.contents.get(from)
    if (text === undefined) return 0
    if (files.contents.has(to)) return 2
    files.contents.delete(from)
    files.contents.set(to, text)
    files.modes.set(to, files.modes.get(from) ?? 0)
    files.modes.delete(from)
    return 0
  }
  const divert = (args: readonly string[]): { readonly exitCode: number; readonly stdout: string } => {
    const said = (stdout: string) => ({ exitCode: 0, stdout: stdout === '' ? '' : `${stdout}\n` })
    if (args.includes('--listpackage')) return said(diversion.by)
    if (args.includes('--truename')) return said(diversion.to)
    if (args.includes('--test')) return { exitCode: files.contents.has(AWAY) ? 2 : 0, stdout: '' }
    if (args.includes('--add') && diversion.by === '') {
      Object.assign(diversion, { by: 'LOCAL', to: AWAY })
      return { exitCode: move(FILE, AWAY), stdout: '' }
    }
    if (args.includes('--remove') && diversion.by === 'LOCAL') {
      Object.assign(diversion, { by: '', to: FILE })
      return { exitCode: move(AWAY, FILE), stdout: '' }
    }
    return said('')
  }
  const node = (args: readonly string[]): { readonly exitCode: number; readonly stderr: string } => {
    const snapshot = args[args.indexOf('--snapshot-blob') + 1] ?? ''
    const bundle = args[args.indexOf('--build-snapshot') + 1] ?? ''
    if (args.includes('--build-snapshot')) {
      files.contents.set(snapshot, `snapshot of ${files.contents.get(bundle)}`)
      files.modes.set(snapshot, 0o644)
      return { exitCode: 0, stderr: '' }
    }
    if (!files.contents.has(snapshot)) return { exitCode: 14, stderr: `Cannot open ${snapshot}\n` }
    return { exitCode: 1, stderr: `block-xen-lun: argument: "${args.at(-1)}" is neither add nor remove\n` }
  }
  const executor: Host['executor'] = {
    exec: async ({ file, args }) => {
      calls.push([file, ...args].join(' '))
      if (file === 'env') return { stdout: '', ...node(args) }
      if (file === 'dpkg-divert') return { stderr: 'dpkg-divert: error: it clashes', ...divert(args) }
      return { exitCode: 0, stdout: '', stderr: '' }
    },
  }
  return {
    host: createLocalHost({ files, executor, clock: createFakeClock(), locks: createFakeLocks() }),
    files,
    calls,
    diversion,
    tree: () =>
      [...files.contents]
        .map(([path, text]) => [path, text, files.modes.get(path)])
        .toSorted((a, b) => (String(a[0]) < String(b[0]) ? -1 : 1)),
  }
}
