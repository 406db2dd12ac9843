import { integer } from '../core/check.ts'
import { checkOptions, type OperationOptions } from '../core/options.ts'
import { withDeadline } from '../flow/deadline.ts'
import type { Host } from '../host/host.ts'
import { createLocalHost } from '../host/local.ts'
import { CHECKS } from './checks.ts'
import { type Check, gatherFacts } from './facts.ts'
import { type CheckName, type Finding, type FindingLevel, type Observation, unknown } from './finding.ts'

/** Options of {@link doctor}. */
export interface DoctorOptions extends OperationOptions {
  /** Which host to look at. Default: this machine. */
  readonly host?: Host | undefined
  /** What has not been seen by then is told as `unknown`. Default 30 000. */
  readonly timeoutMs?: number | undefined
}

/** What {@link doctor} found. */
export interface Diagnosis {
  /** At least one of every check, always in the same order. */
  readonly findings: readonly Finding[]
  /** The level of the gravest finding: `error`, `warning`, `unknown`, `ok`, in this order. */
  readonly worst: FindingLevel
}

const TIMEOUT_MS = 30_000
const LONGEST_MS = 600_000
const LEVELS: readonly FindingLevel[] = ['error', 'warning', 'unknown', 'ok']

/**
 * Looks over a Xen host and says what will bite whoever attaches LUNs there: daemons that do not run, settings of
 * multipath-tools, open-iscsi, LVM and Xen, damaged records. It changes nothing, and a check that fails is a finding
 * of level `unknown`. docs/doctor.md explains every check.
 *
 * @throws {@link LunError} `INVALID_INPUT`; `signal.reason` on abort
 *
 * @example
 * ```ts
 * import { doctor } from 'xen-lun'
 *
 * const { findings, worst } = await doctor()
 * for (const { check, level, message, advice } of findings) {
 *   if (level !== 'ok') console.log(`${level} ${check}: ${message} ${advice ?? ''}`)
 * }
 * process.exitCode = worst === 'error' ? 1 : 0
 * ```
 */
export async function doctor(options: DoctorOptions = {}): Promise<Diagnosis> {
  const { host = createLocalHost(), timeoutMs = TIMEOUT_MS, signal } = checkOptions(options)
  const deadline = { timeoutMs: integer(timeoutMs, 'timeoutMs', 1, LONGEST_MS), signal, awaited: () => 'the checks' }
  const findings = await withDeadline(host.clock, deadline, async stop => await examine(host, stop))
  signal?.throwIfAborted()
  return { findings, worst: LEVELS.find(level => findings.some(finding => finding.level === level)) ?? 'ok' }
}

async function examine(host: Host, signal: AbortSignal): Promise<readonly Finding[]> {
  const facts = gatherFacts(host, signal)
  const over = new AbortController()
  // Files take no signal: one on a file system that hangs must not hold up all others.
  const stopped = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true, signal: over.signal })
  })
  const looks = Object.entries(CHECKS) as readonly (readonly [CheckName, Check])[]
  const found = looks.map(async ([check, look]): Promise<readonly Finding[]> => {
    const seen = await Promise.race([look(facts), stopped]).catch((problem: unknown) => [unseen(problem)])
    return seen.map(observation => ({ check, ...observation }))
  })
  try {
    return (await Promise.all(found)).flat()
  } finally {
    over.abort()
  }
}

function unseen(problem: unknown): Observation {
  return unknown(`It could not be looked at: ${problem instanceof Error ? problem.message : String(problem)}.`)
}
