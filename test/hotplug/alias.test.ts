import { expect, test } from 'vitest'
import { readAlias } from '../../src/hotplug/alias.ts'
import { checkAttachRequest } from '../../src/lun/request.ts'
import { createMemoryFiles } from '../support/memory-files.ts'

const PATH = '/etc/xen-lun/vm1.json'
const SECRET = 'planted-horse-71c4'
const chap = { username: 'dom0', password: SECRET }
const request = { target: 'iqn.2001-05.com.example:vm1', portals: ['10.0.1.1'], chap }

async function read(value: unknown, mode = 0o600) {
  const files = createMemoryFiles()
  await files.replace(PATH, typeof value === 'string' ? value : JSON.stringify(value), mode)
  return checkAttachRequest(await readAlias(files, 'vm1'))
}

test('is a request, whose password is a Secret from then on', async () => {
  const wish = await read(request)
  expect(wish).toMatchObject({ target: request.target, chap: { username: 'dom0' } })
  expect(JSON.stringify(wish)).not.toContain(SECRET)
  expect(wish.chap?.password.reveal()).toBe(SECRET)
})

test('that is not there names its file', async () => {
  await expect(readAlias(createMemoryFiles(), 'vm1')).rejects.toThrow(/there is no \/etc\/xen-lun\/vm1\.json/)
})

test.each([0o644, 0o640, 0o604, 0o666])('is refused with mode %o', async mode => {
  await expect(read(request, mode)).rejects.toThrow(/may be read by others: chmod 600 it/)
})

test.each([
  ['', /not valid JSON/],
  [`{ "chap": { "password": "${SECRET}" `, /not valid JSON/],
  [`"${SECRET}"`, /not a JSON object/],
  [[SECRET], /not a JSON object/],
  [{ ...request, luns: 1 }, /a member "luns"; there are target, lun/],
  [{ ...request, chap: SECRET }, /chap.*not a JSON object/],
  [{ ...request, chap: null }, /chap.*not a JSON object/],
  [{ ...request, chap: { ...chap, secret: SECRET } }, /chap.*member "secret"/],
  [{ ...request, chap: { ...chap, mutual: SECRET } }, /mutual.*not a JSON object/],
  [{ ...request, chap: { ...chap, mutual: { ...chap, more: 1 } } }, /mutual.*member "more"/],
  [{ ...request, chap: { username: 'dom0' } }, /chap\.password/],
  [{ ...request, chap: { username: 'dom0', password: 71_004_711 } }, /chap\.password/],
  [{ ...request, chap: { username: 'dom0', password: [SECRET] } }, /chap\.password/],
  [{ ...request, chap: { username: 5, password: SECRET } }, /chap\.username/],
  [{ ...request, paths: { most: 3 } }, /paths.*member "most"/],
  [{ ...request, expected: { wwid: 5 } }, /expected\.wwid/],
  [{ ...request, target: 5 }, /target/],
  [{ ...request, portals: [5] }, /portals/],
  [{ ...request, portals: '10.0.1.1' }, /portals/],
])('%j is refused by name, and nothing of it shown', async (value, reason) => {
  const error = await read(value).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'INVALID_INPUT', message: expect.stringMatching(reason) })
  expect(`${String(error)} ${JSON.stringify(error)}`).not.toMatch(/planted|71004711/)
})
