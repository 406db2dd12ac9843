import { Command, CommanderError, InvalidArgumentError } from 'commander'
import { oneLine } from '../core/printable.ts'
import { reportCooldown } from './commands/cooldown.ts'
import { reportDoctor } from './commands/doctor.ts'
import { reportInstall } from './commands/install-script.ts'
import { reportPrewarm } from './commands/prewarm.ts'
import { reportReconcile } from './commands/reconcile.ts'
import { reportReleaseExpired } from './commands/release-expired.ts'
import { reportStatus } from './commands/status.ts'
import { reportUninstall } from './commands/uninstall-script.ts'
import { reportVerify } from './commands/verify.ts'
import type { Io } from './io.ts'
import { type Problem, toProblem, usageProblem } from './problem.ts'
import type { Report } from './report.ts'

const MAX_TIMEOUT_S = 3600
const MAX_TTL_S = 86_400
const DISK_TARGET = 'as in a disk line: an iSCSI name, iqn=…,portal=…, or an alias'

/** Runs one command line, without the name of the program, and answers the exit code. */
export async function runCli(args: readonly string[], io: Io): Promise<number> {
  const isJson = args.includes('--json')
  const reports: Report[] = []
  try {
    await createProgram(io, report => reports.push(report)).parseAsync(args, { from: 'user' })
    for (const { json, lines } of reports) print(io.stdout, isJson ? [toJson(json)] : lines.map(oneLine))
    return Math.max(0, ...reports.map(({ exitCode }) => exitCode))
  } catch (error) {
    if (error instanceof CommanderError && (error.exitCode === 0 || error.code === 'commander.help')) {
      return error.exitCode === 0 ? 0 : usageProblem('').exitCode // the help has been printed
    }
    const problem = error instanceof CommanderError ? usageProblem(readable(error.message)) : toProblem(error)
    tell(io, problem, isJson)
    return problem.exitCode
  }
}

function tell(io: Io, { code, message, details, hint }: Problem, isJson: boolean): void {
  if (isJson) print(io.stdout, [toJson({ code, message, details })])
  else {
    print(io.stderr, [
      `xen-lun: ${code}: ${oneLine(message)}`,
      ...(hint === undefined ? [] : [`xen-lun: hint: ${hint}`]),
    ])
  }
}

function print(write: (text: string) => void, lines: readonly string[]): void {
  if (lines.length > 0) write(`${lines.join('\n')}\n`)
}

function toJson(value: unknown): string {
  return JSON.stringify(value, undefined, 2)
}

/** commander repeats an unknown option with its value, which may be meant to be secret. */
function readable(message: string): string {
  return oneLine(message.replace(/^error: /, '').replaceAll(/(--[^\s=']+)=[^']*'/g, "$1'"))
}

function createProgram(io: Io, done: (report: Report) => void): Command {
  const program = new Command('xen-lun')
    .description('Looks after the iSCSI LUNs of Xen guests.')
    .version(io.self.version, '-V, --version', 'print the version')
    .exitOverride()
    .configureOutput({ writeOut: io.stdout, writeErr: io.stderr, outputError: () => {} })
    .helpCommand(false)
    .helpOption('-h, --help', 'print this')
    .addHelpText(
      'after',
      '\nExit codes: 0 fine, 1 it failed or problems were found, 2 wrong usage.\nExample: xen-lun doctor'
    )
  const add = (usage: string, description: string, example: string): Command =>
    program
      .command(usage)
      .description(description)
      .option('--json', 'print JSON')
      .addHelpText('after', `\nExample: xen-lun ${example}`)

  add('status', 'List what is attached, and who holds it.', 'status --json').action(async () =>
    done(await reportStatus(io))
  )
  add('doctor', 'Say what will bite on this host.', 'doctor --all')
    .option('--all', 'also list what is well')
    .action(async options => done(await reportDoctor(io, options)))
  add('reconcile', 'Say what crashes and guests have left.', 'reconcile --apply')
    .option('--apply', 'clear it away')
    .option('--timeout <seconds>', 'deadline of all of it (default: 120)', wholeNumber(1, MAX_TIMEOUT_S))
    .action(async options => done(await reportReconcile(io, options)))
  add('verify', 'Ask the array which volume a LUN is.', 'verify iqn.2001-05.com.example:vm1')
    .argument('<target>', "the target's iSCSI name")
    .option('--lun <number>', 'LUN number (default: 0)', wholeNumber(0, Number.MAX_SAFE_INTEGER))
    .option('--wwid <wwid>', 'the volume it must be')
    .action(async (target: string, options) => done(await reportVerify(io, target, options)))
  add('prewarm', 'Attach ahead of a guest that will come.', 'prewarm vm1 --owner migration --ttl 600')
    .argument('<target>', DISK_TARGET)
    .requiredOption('--owner <name>', 'who keeps it ready')
    .requiredOption('--ttl <seconds>', 'how long, unless the guest comes', wholeNumber(1, MAX_TTL_S))
    .option('--timeout <seconds>', 'deadline of all of it (default: 30)', wholeNumber(1, MAX_TIMEOUT_S))
    .action(async (target: string, options) => done(await reportPrewarm(io, target, options)))
  add('cooldown', 'Give up what prewarm keeps ready.', 'cooldown vm1 --owner migration')
    .argument('<target>', DISK_TARGET)
    .requiredOption('--owner <name>', 'who kept it ready')
    .action(async (target: string, options) => done(await reportCooldown(io, target, options)))
  add('release-expired', 'Detach what was kept ready for too long.', 'release-expired')
    .option('--wait', 'go on until nothing is kept ready any more')
    .action(async options => done(await reportReleaseExpired(io, options)))
  add('install-script', 'Install block script and command.', 'install-script --divert-block-iscsi')
    .option('--divert-block-iscsi', "also take the place of Xen's block-iscsi, for disk lines that name it")
    .option('--prefix <dir>', 'install below this directory, as for an image; enables nothing')
    .option('--node <path>', 'the node to run (default: the one that runs this)')
    .option('--force-xapi', 'also on a host of xapi')
    .action(async options => done(await reportInstall(io, options)))
  add('uninstall-script', 'Remove what install-script has placed.', 'uninstall-script')
    .option('--prefix <dir>', 'what was installed below this directory')
    .action(async options => done(await reportUninstall(io, options)))
  return program
}

function wholeNumber(min: number, max: number): (text: string) => number {
  return text => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
    if (value >= min && value <= max) return value
    throw new InvalidArgumentError(
      `It is not a whole number from ${min}${max < Number.MAX_SAFE_INTEGER ? ` to ${max}` : ''}.`
    )
  }
}
