import { LunError } from './error.ts'

/** A place in parsed JSON that knows its own path, so that an error can name it: `maps[2].path_groups[0].name`. */
export interface Json {
  /** The member `name`. @throws {@link LunError} `UNEXPECTED_OUTPUT` when it is not there. */
  at(name: string): Json
  /** The member `name`, if it is there. */
  find(name: string): Json | undefined
  /** The elements of an array. @throws {@link LunError} `UNEXPECTED_OUTPUT` */
  items(): readonly Json[]
  /** @throws {@link LunError} `UNEXPECTED_OUTPUT` when it is not a string. */
  text(): string
  /** @throws {@link LunError} `UNEXPECTED_OUTPUT` when it is not an integer. */
  integer(): number
}

const SHOWN_CHARS = 200

/** Reads the JSON a tool printed. Unknown members are nobody's business. @throws {@link LunError} `UNEXPECTED_OUTPUT` */
export function parseJson(text: string, tool: string): Json {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    const details = { tool, line: 1, text: text.slice(0, SHOWN_CHARS) }
    throw new LunError('UNEXPECTED_OUTPUT', `${tool} printed no valid JSON`, details, { cause })
  }
  return place(value, '', tool)
}

function place(value: unknown, path: string, tool: string): Json {
  const fail = (problem: string, where = path): never => {
    const name = where === '' ? 'the whole' : where
    throw new LunError('UNEXPECTED_OUTPUT', `${tool}: ${name} ${problem}`, {
      tool,
      line: 1,
      text: `${name}: ${JSON.stringify(value)}`.slice(0, SHOWN_CHARS),
    })
  }
  const find = (name: string): Json | undefined => {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
    return place(Reflect.get(value, name), inside(path, name), tool)
  }
  return {
    find,
    at: name => find(name) ?? fail('is missing', inside(path, name)),
    items: () =>
      Array.isArray(value) ? value.map((item, n) => place(item, `${path}[${n}]`, tool)) : fail('is no array'),
    text: () => (typeof value === 'string' ? value : fail('is no text')),
    integer: () => (typeof value === 'number' && Number.isSafeInteger(value) ? value : fail('is no integer')),
  }
}

function inside(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`
}
