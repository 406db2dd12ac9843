import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isLunError } from '../../src/core/error.ts'
import { portal } from '../../src/core/portal.ts'
import { Secret } from '../../src/core/secret.ts'
import { chapSettings, checkChap } from '../../src/iscsi/chap.ts'
import { newIface } from '../../src/iscsi/iface.commands.ts'
import { ifaceName } from '../../src/iscsi/iface-name.ts'
import { selectorArgs, settingArgs } from '../../src/iscsi/record-selector.ts'
import { checkSettingName, checkSettingValue } from '../../src/iscsi/record-settings.ts'
import { failureOf, V1 } from './fixtures.ts'

const HUSH = 'hush-hush-hush'

describe('names of interfaces', () => {
  it.each(['default', 'eth1', 'bnx2i.00:10:18:04:05:9e', 'Bond0.100', 'a'.repeat(64)])('may be %s', name => {
    expect(ifaceName(name)).toBe(name)
  })

  it.each(['', '-I', '.x', 'a..b', 'a/b', 'a b', 'a,b', 'a\n', 'é', 'a'.repeat(65)])('may not be %j', async name => {
    expect((await failureOf(() => ifaceName(name, 'ifaces[0]'), 'INVALID_INPUT')).details.field).toBe('ifaces[0]')
    await failureOf(() => selectorArgs({ target: V1, iface: name }), 'INVALID_INPUT')
  })

  it.each(['default', 'iser'])('that are built in, as %s, are not created or deleted', async name => {
    expect((await failureOf(() => newIface(name), 'INVALID_INPUT')).details.field).toBe('iface')
  })
})

describe('arguments', () => {
  it('put IPv6 in brackets', () => {
    expect(selectorArgs({ target: V1, portal: portal('fd00::1'), iface: 'eth1' })).toEqual([
      '-T',
      V1,
      '-p',
      '[fd00::1]:3260',
      '-I',
      'eth1',
    ])
  })

  it('take several settings', () => {
    expect(settingArgs({ 'node.startup': 'manual', 'node.conn[0].timeo.login_timeout': '5' })).toEqual([
      '-n',
      'node.startup',
      '-v',
      'manual',
      '-n',
      'node.conn[0].timeo.login_timeout',
      '-v',
      '5',
    ])
  })

  it.each(['node.session.auth.password', 'node.session.auth.password_in', 'discovery.sendtargets.auth.PASSWORD'])(
    'never take %s',
    async name => {
      const error = await failureOf(() => settingArgs({ [name]: HUSH }), 'INVALID_INPUT')
      expect(JSON.stringify([error, error.message, error.details])).not.toContain(HUSH)
    }
  )

  it('do not take nothing', async () => {
    expect((await failureOf(() => settingArgs({}), 'INVALID_INPUT')).details.reason).toBe('is empty')
  })
})

describe('settings', () => {
  it.each(['', '-n', 'node.startup ', 'node startup', 'node.startup=', 'a\nb', 'node.tpgt', 'node.conn[0].port', 'é'])(
    'are not named %j',
    async name => {
      expect((await failureOf(() => checkSettingName(name), 'INVALID_INPUT')).details.field).toBe('settings')
    }
  )

  it.each(['', 'a b', 'a # b', '#a', 'a=b', 'pässwörd€', 'tab\tinside', '********', 'x'.repeat(255), 'é'.repeat(127)])(
    'may be %j',
    value => {
      expect(checkSettingValue('node.session.auth.username', value)).toBe(value)
    }
  )

  it.each(['a\nb', 'a\0', '\r', ' a', 'a ', '\ta', '<empty>', 'x'.repeat(256), 'é'.repeat(128)])(
    'may not be %j',
    async value => {
      const { details } = await failureOf(() => checkSettingValue('node.startup', value), 'INVALID_INPUT')
      expect(details.field).toBe('settings.node.startup')
    }
  )

  it('keep a refused secret to themselves', () => {
    const bad = fc.constantFrom(`${HUSH}\n`, ` ${HUSH}`, `${HUSH}\0`, HUSH.repeat(30))
    fc.assert(
      fc.property(bad, fc.boolean(), (text, isWrapped) => {
        const value = isWrapped ? new Secret(text) : text
        try {
          checkSettingValue('node.session.auth.password', value)
          expect.fail('was accepted')
        } catch (error) {
          if (!isLunError(error, 'INVALID_INPUT')) throw error
          expect(JSON.stringify([error.message, error.details, error.stack])).not.toContain(HUSH)
        }
      })
    )
  })
})

describe('CHAP', () => {
  const chap = { username: 'dom0', password: new Secret(HUSH) }

  it('becomes settings of a node record, without the target having to prove anything', () => {
    expect(chapSettings(chap)).toEqual({
      'node.session.auth.authmethod': 'CHAP',
      'node.session.auth.username': 'dom0',
      'node.session.auth.password': chap.password,
      'node.session.auth.username_in': '',
      'node.session.auth.password_in': '',
    })
  })

  it('becomes settings of a discovery record, both ways', () => {
    const mutual = { username: 'array', password: new Secret('other') }
    expect(chapSettings({ ...chap, mutual }, 'discovery')).toEqual({
      'discovery.sendtargets.auth.authmethod': 'CHAP',
      'discovery.sendtargets.auth.username': 'dom0',
      'discovery.sendtargets.auth.password': chap.password,
      'discovery.sendtargets.auth.username_in': 'array',
      'discovery.sendtargets.auth.password_in': mutual.password,
    })
  })

  it('is cleared wholly: open-iscsi uses credentials whatever the authmethod says', () => {
    expect(chapSettings(undefined)).toEqual({
      'node.session.auth.authmethod': 'None',
      'node.session.auth.username': '',
      'node.session.auth.password': '',
      'node.session.auth.username_in': '',
      'node.session.auth.password_in': '',
    })
  })

  it.each([
    ['chap.username', { username: '', password: new Secret(HUSH) }],
    ['chap.password', { username: 'a', password: new Secret('') }],
    ['chap.password', { username: 'a', password: new Secret(`${HUSH}\n`) }],
    ['chap.username', { username: ' a', password: new Secret(HUSH) }],
    ['chap.mutual.password', { ...chap, mutual: { username: 'a', password: new Secret('') } }],
  ])('names %s when it is bad', async (field, bad) => {
    const error = await failureOf(() => checkChap(bad), 'INVALID_INPUT')
    expect(error.details.field).toBe(field)
    expect(JSON.stringify([error.message, error.details])).not.toContain(HUSH)
  })
})
