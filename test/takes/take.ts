import {
  createIscsiadm,
  createMultipath,
  createXenstore,
  type Host,
  type Iscsiadm,
  type Multipath,
  type Xenstore,
} from 'xen-lun'

/** The modules whose commands are recorded, all on one host. */
export interface Tools {
  readonly iscsiadm: Iscsiadm
  readonly multipath: Multipath
  readonly xenstore: Xenstore
}

/**
 * Calls of the library whose commands are recorded in dom0, and answered from the recording in the unit tests: both
 * must come to the same result. What is recorded depends on what `prepare` did, and on the takes before it.
 */
export interface Take {
  /** File name below test/fixtures/recorded. */
  readonly name: string
  /** Answers data, or rejects with the error that is expected. */
  readonly play: (tools: Tools) => Promise<unknown>
}

export function createTools(host: Host): Tools {
  const xenstore = createXenstore(host, { transport: 'commands' })
  return { iscsiadm: createIscsiadm(host), multipath: createMultipath(host), xenstore }
}

/** What a take came to, as text: JSON of its data, or code and details of its error. */
export async function outcomeOf({ play }: Take, tools: Tools): Promise<string> {
  try {
    return toText({ answer: await play(tools) })
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error) || !('details' in error)) throw error
    return toText({ error: { code: error.code, message: error.message, details: error.details } })
  }
}

function toText(value: unknown): string {
  return `${JSON.stringify(value, (_, item: unknown) => (item instanceof Map ? Object.fromEntries(item) : item), 2)}\n`
}
