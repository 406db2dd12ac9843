import { invalid } from '../core/check.ts'
import type { Command } from '../host/command.ts'
import { type Iface, parseIfaces } from './iface.parse.ts'
import { ifaceName } from './iface-name.ts'
import { iscsiadm, toolOf } from './iscsiadm-command.ts'
import { settingArgs } from './record-selector.ts'

// Built in and not stored. Deleting one fails, but not before iscsiadm 2.1.11 has deleted every node record bound to it.
const BUILT_IN = new Set(['default', 'iser'])

export function listIfaces(): Command<readonly Iface[]> {
  const args = ['-m', 'iface']
  return iscsiadm<readonly Iface[]>(args, {
    answers: { noObjectsFound: [] },
    read: stdout => parseIfaces(stdout, toolOf(args)),
  })
}

/** An interface that exists loses its settings. */
export function newIface(name: string): Command<void> {
  return iscsiadm([...ifaceRecord(name), '-o', 'new'], { read: () => undefined })
}

/** iscsiadm 2.1.11 exits 0 even where it refuses a setting; then it has changed none. */
export function updateIface(name: string, settings: Readonly<Record<string, string>>): Command<void> {
  return iscsiadm([...ifaceRecord(name), '-o', 'update', ...settingArgs(settings)], {
    isDone: stdout => stdout.includes(`${name} updated.`),
    read: () => undefined,
  })
}

/** Deletes every node record bound to the interface, too. */
export function deleteIface(name: string): Command<void> {
  return iscsiadm([...ifaceRecord(name), '-o', 'delete'], { read: () => undefined })
}

function ifaceRecord(name: string): readonly string[] {
  if (BUILT_IN.has(name)) throw invalid('iface', name, 'is built in and cannot be created, changed or deleted')
  return ['-m', 'iface', '-I', ifaceName(name)]
}
