import { describe, expect, test } from 'vitest'
import { cli, createInstallHost, json } from './helpers.ts'

const NAMES = [
  'status',
  'doctor',
  'reconcile',
  'verify',
  'prewarm',
  'cooldown',
  'release-expired',
  'install-script',
  'uninstall-script',
]

describe('wrong usage exits with 2, touches nothing, and says in one line what is wrong', () => {
  test.each([
    [['stats'], "unknown command 'stats' (Did you mean status?)"],
    [['status', '--loud'], "unknown option '--loud'"],
    [['status', 'extra'], /too many arguments/],
    [['verify'], "missing required argument 'target'"],
    [['verify', 'iqn.2001-05.com.example:vm1', '--lun', 'one'], /--lun <number>.*It is not a whole number from 0\.$/],
    [['reconcile', '--timeout', '0'], /--timeout <seconds>.*It is not a whole number from 1 to 3600\.$/],
    [['reconcile', '--timeout', '1e2'], /whole number/],
    [['prewarm', 'vm1', '--owner', 'm'], "required option '--ttl <seconds>' not specified"],
    [['prewarm', 'vm1', '--ttl', '60'], "required option '--owner <name>' not specified"],
    [['prewarm', 'vm1', '--owner', 'm', '--ttl', '86401'], /whole number from 1 to 86400\.$/],
    [['cooldown', 'vm1'], "required option '--owner <name>' not specified"],
    [['install-script', '--prefix'], /argument missing/],
  ])('%j', async (args, message) => {
    const { host, calls, tree } = createInstallHost()
    const before = tree()
    const { exitCode, stdout, stderr } = await cli(host, args)
    expect([exitCode, stdout]).toEqual([2, ''])
    const [, said = ''] = /^xen-lun: USAGE: ([^\n]+)\nxen-lun: hint: xen-lun --help [^\n]+\n$/.exec(stderr) ?? []
    expect(said).toMatch(message)
    expect(await json(host, args)).toEqual({ code: 'USAGE', message: said, details: {} })
    expect([calls, tree()]).toEqual([[], before])
  })

  test('without a command there is the help', async () => {
    const { exitCode, stdout, stderr } = await cli(createInstallHost().host, [])
    expect([exitCode, stdout]).toEqual([2, ''])
    expect(stderr).toContain('Usage: xen-lun')
  })
})

test('the value of an unknown option is not repeated, it may be a secret', async () => {
  const { stderr } = await cli(createInstallHost().host, ['verify', 'iqn.2001-05.com.example:vm1', '--password=horse'])
  expect(stderr).toContain("unknown option '--password'")
  expect(stderr).not.toContain('horse')
})

test('--version prints the version alone', async () => {
  expect(await cli(createInstallHost().host, ['--version'])).toEqual({ exitCode: 0, stdout: '1.2.3\n', stderr: '' })
})

test('--help lists every command, and each has an example', async () => {
  const { host } = createInstallHost()
  const { exitCode, stdout, stderr } = await cli(host, ['--help'])
  expect([exitCode, stderr]).toEqual([0, ''])
  expect([...stdout.matchAll(/^ {2}([a-z-]+) \[/gm)].map(match => match[1])).toEqual(NAMES)
  for (const name of NAMES) {
    const help = await cli(host, [name, '--help'])
    expect([help.exitCode, help.stderr]).toEqual([0, ''])
    expect(help.stdout).toMatch(new RegExp(`^Example: xen-lun ${name}`, 'm'))
    expect(help.stdout).toContain('--json')
  }
})

test('what the file system refuses keeps its code', async () => {
  const { host } = createInstallHost()
  const refused = Object.assign(new Error("EACCES: permission denied, scandir '/run/xen-lun/luns'"), {
    code: 'EACCES',
    path: '/run/xen-lun/luns',
  })
  const files = { ...host.files, list: async () => Promise.reject(refused) }
  expect(await cli({ ...host, files }, ['status'])).toEqual({
    exitCode: 1,
    stdout: '',
    stderr: `xen-lun: EACCES: ${refused.message}\nxen-lun: hint: run it as root\n`,
  })
  expect(await json({ ...host, files }, ['status'])).toEqual({
    code: 'EACCES',
    message: refused.message,
    details: { path: '/run/xen-lun/luns' },
  })
})
