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
  /** @throws {@link LunError} `UNEXPECTED_OUTPUT` when it is not a string, or an empty one. */
  filledText(): string
  /** @throws {@link LunError} `UNEXPECTED_OUTPUT` when it is not an integer, or less than `min`. */
  integer(min?: number): number
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
  return new Place(value, '', tool)
}

// A class, because a listing may have a place for every second byte.
class Place implements Json {
  readonly #value: unknown
  readonly #path: string
  readonly #tool: string

  constructor(value: unknown, path: string, tool: string) {
    this.#value = value
    this.#path = path
    this.#tool = tool
  }

  find(name: string): Json | undefined {
    const value = this.#value
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
    return new Place(Reflect.get(value, name), inside(this.#path, name), this.#tool)
  }

  at(name: string): Json {
    return this.find(name) ?? this.#fail('is missing', inside(this.#path, name))
  }

  items(): readonly Json[] {
    const value = this.#value
    if (!Array.isArray(value)) return this.#fail('is no array')
    return value.map((item, n) => new Place(item, `${this.#path}[${n}]`, this.#tool))
  }

  text(): string {
    return typeof this.#value === 'string' ? this.#value : this.#fail('is no text')
  }

  filledText(): string {
    return this.text() || this.#fail('is empty')
  }

  integer(min: number = Number.MIN_SAFE_INTEGER): number {
    const value = this.#value
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) return this.#fail('is no integer')
    return value >= min ? value : this.#fail(`is less than ${min}`)
  }

  #fail(problem: string, where: string = this.#path): never {
    const name = where === '' ? 'the whole' : where
    throw new LunError('UNEXPECTED_OUTPUT', `${this.#tool}: ${name} ${problem}`, {
      tool: this.#tool,
      line: 1,
      text: `${name}: ${startOf(this.#value)}`.slice(0, SHOWN_CHARS),
    })
  }
}

/** JSON of the outermost values: what is nested too deep for JSON.stringify was read all the same. */
function startOf(value: unknown): string {
  let left = SHOWN_CHARS
  return JSON.stringify(value, (_, item: unknown) => (left-- > 0 ? item : undefined))
}

function inside(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`
}
