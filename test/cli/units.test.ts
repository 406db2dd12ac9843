import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { LAYOUT } from '../../src/cli/install/layout.ts'
import { logRotation } from '../../src/cli/install/rotation.ts'
import { reconcileService, reconcileTimer } from '../../src/cli/install/units.ts'

vi.setConfig({ testTimeout: 60_000 }) // real processes, on a machine that may be busy

/** Sections of a unit, each a list of `Name=value`. */
function parseUnit(text: string): Readonly<Record<string, readonly string[]>> {
  const sections: Record<string, string[]> = {}
  let section: string[] = []
  for (const line of text.split('\n').filter(each => each !== '' && !each.startsWith('#'))) {
    const name = /^\[(\w+)\]$/.exec(line)?.[1]
    if (name !== undefined) section = sections[name] = []
    else if (/^[A-Z]\w+=\S.*$/.test(line)) section.push(line)
    else throw new Error(`no line of a unit: ${line}`)
  }
  return sections
}

describe('the units', () => {
  test('run reconcile after the daemons it asks, and before guests start', () => {
    const { Unit = [], Service, Install } = parseUnit(reconcileService())
    expect(Unit).toContain('After=iscsid.service open-iscsi.service multipathd.service xenstored.service xen.service')
    expect(Unit).toContain('Before=xendomains.service')
    expect(Service).toEqual([
      'Type=oneshot',
      'ExecStart=/usr/local/sbin/xen-lun reconcile --apply',
      'TimeoutStartSec=180',
      'KillMode=process',
    ])
    expect(Install).toEqual(['WantedBy=multi-user.target'])
  })

  test('repeat it a minute after the last time', () => {
    const { Timer, Install } = parseUnit(reconcileTimer())
    expect(Timer).toEqual(['OnBootSec=1min', 'OnUnitInactiveSec=1min', 'AccuracySec=5s'])
    expect(Install).toEqual(['WantedBy=timers.target'])
    expect(basename(LAYOUT.timer, '.timer')).toBe(basename(LAYOUT.service, '.service'))
  })

  test('are well for systemd, where there is one to ask', async () => {
    const units = [LAYOUT.service, LAYOUT.timer].map(path => basename(path))
    expect(units).toEqual(['xen-lun-reconcile.service', 'xen-lun-reconcile.timer'])
    if (!existsSync('/usr/bin/systemd-analyze')) return // the structure is asserted above
    const folder = await mkdtemp(join(tmpdir(), 'xen-lun-'))
    try {
      // It wants the program to be there, which need not be installed here.
      await writeFile(join(folder, units[0] ?? ''), reconcileService().replace(LAYOUT.command, '/bin/true'))
      await writeFile(join(folder, units[1] ?? ''), reconcileTimer())
      const files = units.map(name => join(folder, name))
      const { status, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', ...files], { encoding: 'utf8' })
      expect([status, stderr.split('\n').filter(line => line.includes('xen-lun'))]).toEqual([0, []])
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})

describe('the log rotation', () => {
  const logs = (others: readonly string[]): string | undefined => /^(\/.*) \{$/m.exec(logRotation(others))?.[1]

  test('is for our log and that of the scripts of Xen', () => {
    expect(logs([])).toBe('/var/log/xen/xen-lun.log /var/log/xen/xen-hotplug.log')
    expect(logs(['weekly\ninclude /etc/logrotate.d\n', '/var/log/apt/*.log {\n  rotate 1\n}\n'])).toBe(
      '/var/log/xen/xen-lun.log /var/log/xen/xen-hotplug.log'
    )
  })

  test.each([
    '/var/log/xen/xen-hotplug.log {\n weekly\n}\n',
    '/var/log/syslog\n"/var/log/xen/xen-hotplug.log"\n{\n weekly\n}\n',
    '/var/log/a /var/log/xen/xen-hot*.log {\n}\n',
  ])('leaves out what others rotate: %j', other => {
    expect(logs([other])).toBe('/var/log/xen/xen-lun.log')
  })

  test.each([
    '# /var/log/xen/xen-hotplug.log {}\n',
    '/var/log/other {\n  postrotate\n    cat /var/log/xen/xen-hotplug.log\n  endscript\n}\n',
    '/var/log/*.log {\n}\n',
    '/var/log/xenxxen-hotplug.log {\n}\n',
  ])('does not take everything for a log that is rotated: %j', other => {
    expect(logs([other])).toContain('xen-hotplug.log')
  })

  test('is empty where others rotate all of it', () => {
    expect(logRotation(['/var/log/xen/*.log {\n}\n'])).toBe(
      '# xen-lun log rotation\n# All of its logs are rotated by others.\n'
    )
  })
})
