import { invalid } from '../core/check.ts'
import { RECORD_END, readSettingLine } from './record.parse.ts'
import { isAddable } from './record-settings.ts'

/** A record's new text, and what its changed settings were before: the empty text for none. */
export interface RecordEdit {
  readonly text: string
  readonly before: ReadonlyMap<string, string>
}

/**
 * Changes settings in a record's text and nothing else: every other line keeps its place and its bytes. A setting with
 * an empty value is taken out, which gives open-iscsi's default; a new one goes to the end of the record.
 */
export function editRecord(text: string, changes: ReadonlyMap<string, string>): RecordEdit {
  const before = new Map([...changes.keys()].map(name => [name, '']))
  const written = new Set<string>()
  const lines = text
    .replace(/\n$/, '')
    .split('\n')
    .flatMap(line => {
      const { name = '', value = '' } = readSettingLine(line) ?? {}
      const wanted = changes.get(name)
      if (wanted === undefined) return [line]
      before.set(name, value) // open-iscsi takes the last line of a name
      if (wanted === '' || written.has(name)) return []
      written.add(name)
      return value === wanted ? [line] : [`${name} = ${wanted}`]
    })
  const added = [...changes].filter(([name, value]) => value !== '' && !written.has(name))
  const end = lines.findLastIndex(line => line.startsWith(RECORD_END))
  lines.splice(end < 0 ? lines.length : end, 0, ...added.map(([name, value]) => `${name} = ${value}`))
  return { text: `${lines.join('\n')}\n`, before }
}

/**
 * Refuses a new setting that some open-iscsi does not know.
 *
 * @throws {@link LunError} `INVALID_INPUT`
 */
export function checkAdditions(settings: ReadonlyMap<string, string>, changes: ReadonlyMap<string, string>): void {
  for (const [name, value] of changes) {
    if (value !== '' && !settings.has(name) && !isAddable(name)) {
      throw invalid('settings', name, 'is not in this record, and a name open-iscsi does not know breaks its database')
    }
  }
}
