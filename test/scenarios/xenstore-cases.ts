import assert from 'node:assert/strict'
import { type Clock, isLunError, type Xenstore, type XenstoreEvent, type XenstoreNodes } from 'xen-lun'

/** What a case has: a subtree of its own, and two clients. */
export interface XenstorePlace {
  readonly xenstore: Xenstore
  /** Somebody else. */
  readonly other: Xenstore
  /** An absolute path, not there yet; it is removed afterwards. */
  readonly root: string
  readonly clock: Clock
  /** The longest payload of a message. Default 4096; in the kernel's device the header has to fit in too. */
  readonly maxPayload?: number
  /** How many reads are asked for at once. Default 1000. */
  readonly reads?: number
}

/** One thing that every way to xenstore has to do alike. */
export interface XenstoreCase {
  readonly name: string
  /** What Xen's commands cannot do, they have to refuse at once. */
  readonly needsSocket?: true
  readonly run: (place: XenstorePlace) => Promise<void>
}

const HOME = '/local/domain/0/'
const MAX_PAYLOAD = 4096
const MANY = 1000
const SECOND_MS = 1000

const withCode = (code: string) => (error: unknown) => isLunError(error) && error.code === code

async function values({ xenstore, root }: XenstorePlace): Promise<void> {
  const texts = [
    '',
    '-5',
    '--',
    'a\\b',
    '\\',
    '\\n',
    'two\nlines\n',
    '\t\r\n',
    ' a  b ',
    '"',
    "'",
    'é€𝄞',
    '\u{feff}x',
    '$(id)',
  ]
  const byPath = Object.fromEntries(texts.map((text, n) => [`${root}/v${n}`, text]))
  await xenstore.write(byPath)
  for (const [path, text] of Object.entries(byPath)) assert.equal(await xenstore.read(path), text)
  assert.equal(await xenstore.tryRead(`${root}/v0`), '')
}

async function bytes({ xenstore, root }: XenstorePlace): Promise<void> {
  const all = Uint8Array.from({ length: 255 }, (_, n) => n + 1)
  await xenstore.write({ [`${root}/bytes`]: all, [`${root}/none`]: new Uint8Array(0) })
  assert.deepEqual([...(await xenstore.readBytes(`${root}/bytes`))], [...all])
  assert.deepEqual([...(await xenstore.readBytes(`${root}/none`))], [])
  await assert.rejects(xenstore.readBytes(`${root}/missing`), withCode('XENSTORE_NOT_FOUND'))
}

async function limits({ xenstore, root, maxPayload = MAX_PAYLOAD }: XenstorePlace): Promise<void> {
  const path = `${root}/long`
  const longest = 'x'.repeat(maxPayload - path.length - 1)
  await xenstore.write({ [path]: longest })
  assert.equal(await xenstore.read(path), longest)
  await assert.rejects(xenstore.write({ [path]: `${longest}x` }), withCode('XENSTORE_INVALID'))
  assert.equal(await xenstore.read(path), longest)
}

async function paths({ xenstore, root }: XenstorePlace): Promise<void> {
  const deep = `${root}${'/a-b_C@9'.repeat(60)}`
  await xenstore.write({ [deep]: 'deep' })
  assert.equal(await xenstore.read(deep), 'deep')
  assert.equal(await xenstore.read(`${root}/a-b_C@9`), '')
  assert.equal(await xenstore.read(deep.slice(HOME.length)), 'deep')
  await xenstore.write({ [`${root.slice(HOME.length)}/relative`]: 'same' })
  assert.equal(await xenstore.read(`${root}/relative`), 'same')
  for (const bad of ['', 'a b', `${root}/a.b`, `${root}/`, `${root}//a`, `${root}/a:b`, `${root}/\0`]) {
    await assert.rejects(xenstore.read(bad), withCode('XENSTORE_INVALID'))
  }
}

async function missing({ xenstore, root }: XenstorePlace): Promise<void> {
  const path = `${root}/no/such`
  await assert.rejects(xenstore.read(path), withCode('XENSTORE_NOT_FOUND'))
  await assert.rejects(xenstore.list(path), withCode('XENSTORE_NOT_FOUND'))
  await assert.rejects(xenstore.readBytes(path), withCode('XENSTORE_NOT_FOUND'))
  assert.equal(await xenstore.tryRead(path), undefined)
  assert.equal(await xenstore.exists(path), false)
  await xenstore.write({ [`${root}/there`]: '' })
  assert.equal(await xenstore.exists(`${root}/there`), true)
  assert.equal(await xenstore.exists(root), true)
}

async function removal({ xenstore, root }: XenstorePlace): Promise<void> {
  await xenstore.rm(`${root}/no/parent/either`)
  await xenstore.write({ [`${root}/a/b/c`]: '1' })
  await xenstore.rm(`${root}/a/none`)
  await xenstore.rm(`${root}/a`)
  assert.deepEqual(await xenstore.list(root), [])
  assert.equal(await xenstore.exists(`${root}/a/b/c`), false)
}

async function many({ xenstore, root }: XenstorePlace): Promise<void> {
  const names = Array.from({ length: 100 }, (_, n) => `child-${n}-${'with-a-rather-long-name-'.repeat(3)}`)
  await xenstore.write(Object.fromEntries(names.map(name => [`${root}/${name}`, name])))
  assert.deepEqual((await xenstore.list(root)).toSorted(), names.toSorted())
}

async function writesOnly({ xenstore, root }: XenstorePlace): Promise<void> {
  const result = await xenstore.transaction(async tx => {
    await tx.write({ [`${root}/a`]: '1' })
    await tx.write({ [`${root}/b`]: '2', [`${root}/a`]: '3' })
    assert.equal(await xenstore.exists(root), false)
    return 'done'
  })
  assert.equal(result, 'done')
  assert.deepEqual([await xenstore.read(`${root}/a`), await xenstore.read(`${root}/b`)], ['3', '2'])
  const failing = xenstore.transaction(async tx => {
    await tx.write({ [`${root}/a`]: 'never' })
    throw new Error('changed my mind')
  })
  await assert.rejects(failing, /changed my mind/)
  assert.equal(await xenstore.read(`${root}/a`), '3')
}

async function conflict({ xenstore, other, root }: XenstorePlace): Promise<void> {
  await xenstore.write({ [`${root}/count`]: '1' })
  let runs = 0
  await xenstore.transaction(async tx => {
    const count = Number(await tx.read(`${root}/count`))
    if (++runs === 1) await other.write({ [`${root}/count`]: '10' })
    await tx.write({ [`${root}/count`]: String(count + 1) })
  })
  assert.deepEqual([runs, await xenstore.read(`${root}/count`)], [2, '11'])
}

async function counters({ xenstore, other, root }: XenstorePlace): Promise<void> {
  const path = `${root}/count`
  await xenstore.write({ [path]: '0' })
  const increment = async (client: Xenstore): Promise<void> =>
    await client.transaction(async tx => await tx.write({ [path]: String(Number(await tx.read(path)) + 1) }))
  await Promise.all(Array.from({ length: 10 }, async (_, n) => await increment(n % 2 === 0 ? xenstore : other)))
  assert.equal(await xenstore.read(path), '10')
}

async function transactionView({ xenstore, other, root }: XenstorePlace): Promise<void> {
  await xenstore.write({ [`${root}/old`]: '1' })
  let leaked: XenstoreNodes | undefined
  await xenstore.transaction(async tx => {
    leaked = tx
    await tx.mkdir(`${root}/new/deep`)
    await tx.rm(`${root}/old`)
    assert.deepEqual(await tx.list(root), ['new'])
    assert.equal(await tx.exists(`${root}/old`), false)
    assert.deepEqual(await other.list(root), ['old'])
  })
  assert.deepEqual(await other.list(root), ['new'])
  await assert.rejects(async () => await leaked?.read(`${root}/new`), withCode('XENSTORE_INVALID'))
}

async function transactionAborted({ xenstore, root }: XenstorePlace): Promise<void> {
  const control = new AbortController()
  const reason = new Error('enough')
  const aborted = xenstore.transaction(
    async tx => {
      await tx.write({ [`${root}/never`]: '1' })
      control.abort(reason)
    },
    { signal: control.signal }
  )
  await assert.rejects(aborted, (error: unknown) => error === reason)
  const failing = xenstore.transaction(async tx => {
    await tx.write({ [`${root}/never`]: '1' })
    await tx.read(`${root}/missing`)
  })
  await assert.rejects(failing, withCode('XENSTORE_NOT_FOUND'))
  assert.equal(await xenstore.exists(root), false)
}

async function mkdir({ xenstore, root }: XenstorePlace): Promise<void> {
  await xenstore.mkdir(`${root}/a/b`)
  assert.equal(await xenstore.read(`${root}/a/b`), '')
  await xenstore.write({ [`${root}/a/b`]: 'kept' })
  await xenstore.mkdir(`${root}/a/b`)
  assert.equal(await xenstore.read(`${root}/a/b`), 'kept')
}

async function permissions({ xenstore, root }: XenstorePlace): Promise<void> {
  const path = `${root}/shared`
  await xenstore.write({ [path]: 'x' })
  const wanted = { owner: 0, others: 'none', access: { 7: 'read', 8: 'read-write', 9: 'write' } } as const
  // xenstored 4.20 forgets entries of domains that do not exist, when it next looks at them: only the owner is sure.
  await xenstore.setPermissions(path, wanted)
  const found = await xenstore.getPermissions(path)
  assert.deepEqual([found.owner, found.others], [0, 'none'])
  for (const [domid, access] of Object.entries(found.access)) {
    assert.equal(access, Object.entries(wanted.access).find(([known]) => known === domid)?.[1])
  }
  await xenstore.setPermissions(path, { owner: 0, others: 'read', access: {} })
  assert.deepEqual(await xenstore.getPermissions(path), { owner: 0, others: 'read', access: {} })
  const nobody = { owner: 0, others: 'none', access: {} } as const
  await assert.rejects(xenstore.setPermissions(`${root}/no/such`, nobody), withCode('XENSTORE_NOT_FOUND'))
  await assert.rejects(xenstore.getPermissions(`${root}/no/such`), withCode('XENSTORE_NOT_FOUND'))
}

/** The next event, or an error that names what was awaited. */
export async function nextEvent(
  events: AsyncIterator<XenstoreEvent>,
  clock: Clock,
  awaited: string
): Promise<string | undefined> {
  const over = new AbortController()
  const late = clock.sleep(20 * SECOND_MS, over.signal).then(
    () => assert.fail(`no event: ${awaited}`),
    () => undefined
  )
  try {
    const result = await Promise.race([events.next(), late])
    return result?.done === true ? undefined : result?.value.path
  } finally {
    over.abort()
  }
}

async function watchChanges({ xenstore, other, root, clock }: XenstorePlace): Promise<void> {
  const events = xenstore.watch(root)[Symbol.asyncIterator]()
  assert.equal(await nextEvent(events, clock, 'the first'), root)
  await other.write({ [`${root}/a/b`]: '1' })
  assert.equal(await nextEvent(events, clock, 'a change below'), `${root}/a/b`)
  await other.rm(`${root}/a`)
  assert.equal(await nextEvent(events, clock, 'a removal below'), `${root}/a`)
  await events.return?.()
  assert.equal(await nextEvent(events, clock, 'the end'), undefined)
}

async function watchParent({ xenstore, other, root, clock }: XenstorePlace): Promise<void> {
  const path = `${root}/a/b/c`
  await other.write({ [path]: '1' })
  const events = xenstore.watch(path)[Symbol.asyncIterator]()
  assert.equal(await nextEvent(events, clock, 'the first'), path)
  await other.rm(`${root}/a`)
  assert.equal(await nextEvent(events, clock, 'removal of the parent'), path)
  await events.return?.()
}

async function watchTwice({ xenstore, other, root, clock }: XenstorePlace): Promise<void> {
  const control = new AbortController()
  const [one, two] = [xenstore.watch(root, { signal: control.signal }), xenstore.watch(root.slice(HOME.length))]
  const [first, second] = [one[Symbol.asyncIterator](), two[Symbol.asyncIterator]()]
  assert.equal(await nextEvent(first, clock, 'the first of one'), root)
  assert.equal(await nextEvent(second, clock, 'the first of the other'), root.slice(HOME.length))
  await other.write({ [`${root}/x`]: '1' })
  assert.equal(await nextEvent(first, clock, 'a change'), `${root}/x`)
  assert.equal(await nextEvent(second, clock, 'a change, relative'), `${root}/x`.slice(HOME.length))
  control.abort()
  assert.equal(await nextEvent(first, clock, 'the end by signal'), undefined)
  await other.write({ [`${root}/y`]: '1' })
  assert.equal(await nextEvent(second, clock, 'a change for the one that is left'), `${root}/y`.slice(HOME.length))
  await second.return?.()
}

async function pipelined({ xenstore, root, reads: length = MANY }: XenstorePlace): Promise<void> {
  await xenstore.write({ [`${root}/a`]: 'A', [`${root}/b`]: 'B' })
  const reads = Array.from({ length }, async (_, n) => await xenstore.tryRead(`${root}/${'abc'[n % 3] ?? ''}`))
  const expected = Array.from({ length }, (_, n) => ['A', 'B', undefined][n % 3])
  assert.deepEqual(await Promise.all(reads), expected)
}

/** What has to be the same over the socket and by commands. */
export const xenstoreCases: readonly XenstoreCase[] = [
  { name: 'keeps values exact', run: values },
  { name: 'keeps all bytes from 1 to 255', run: bytes },
  { name: 'takes the longest message, refuses one byte more and lives on', run: limits },
  { name: 'takes deep and relative paths, and refuses bad ones', run: paths },
  { name: 'says what is not there', run: missing },
  { name: 'removes what is there, and is content with what is not', run: removal },
  { name: 'lists more children than fit into a message', run: many },
  { name: 'writes all or nothing in a transaction', run: writesOnly },
  { name: 'repeats a transaction that met another change', run: conflict, needsSocket: true },
  { name: 'counts right when ten count at once', run: counters, needsSocket: true },
  { name: 'shows a transaction its own changes, and nobody else', run: transactionView, needsSocket: true },
  { name: 'ends a transaction that throws or is aborted', run: transactionAborted, needsSocket: true },
  { name: 'makes a node and keeps the value of one', run: mkdir, needsSocket: true },
  { name: 'changes permissions', run: permissions, needsSocket: true },
  { name: 'watches', run: watchChanges, needsSocket: true },
  { name: 'hears of the removal of a parent', run: watchParent, needsSocket: true },
  { name: 'watches one path twice', run: watchTwice, needsSocket: true },
  { name: 'answers many reads at once', run: pipelined, needsSocket: true },
]
