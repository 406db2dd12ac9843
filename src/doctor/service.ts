import type { Files } from '../host/files.ts'
import type { Check } from './facts.ts'
import { ok, orOk, warning } from './finding.ts'

// systemd.unit(5), "Unit File Load Path"; the first has the say. /lib is /usr/lib where the two were merged.
const FOLDERS = ['/etc/systemd/system', '/run/systemd/system', '/usr/lib/systemd/system', '/lib/systemd/system']
// Debian and Ubuntu; Red Hat, SUSE; Red Hat since 8.
const UNITS = ['open-iscsi.service', 'iscsi.service', 'iscsi-shutdown.service']

/**
 * Distributions log out of every session when the service that logs in at boot is stopped: Debian's open-iscsi.service
 * by /usr/lib/open-iscsi/logout-all.sh, open-iscsi's own etc/systemd/iscsi.service by iscsiadm --logoutall.
 */
export const checkIscsiService: Check = async ({ host }) => {
  const { files } = host
  const enabled = await enabledUnits(files)
  const units = UNITS.filter(unit => enabled.has(unit))
  if (units.length === 0) return [ok('No service logs out of all sessions when it is stopped.')]
  const hazards = await Promise.all(units.map(async unit => ({ unit, logsOut: await logsOut(files, unit) })))
  const found = hazards
    .filter(hazard => hazard.logsOut)
    .map(({ unit }) => {
      const message = `Stopping or restarting ${unit} logs out of every session, under the disks of running guests.`
      const advice = `Do not restart it while guests run, keep it from upgrades that do, or disable it: LUNs are attached without it.`
      return warning(message, advice, unit)
    })
  return orOk(found, 'The services of open-iscsi leave sessions alone when they are stopped.')
}

/** Units some target wants: systemctl enable makes links in `TARGET.wants`. */
async function enabledUnits(files: Files): Promise<ReadonlySet<string>> {
  const wants = await Promise.all(
    FOLDERS.map(async folder =>
      (await files.list(folder)).filter(name => /\.(?:wants|requires)$/.test(name)).map(name => `${folder}/${name}`)
    )
  )
  return new Set((await Promise.all(wants.flat().map(async folder => await files.list(folder)))).flat())
}

async function logsOut(files: Files, unit: string): Promise<boolean> {
  let text: string | undefined
  for (const folder of FOLDERS) text ??= await files.read(`${folder}/${unit}`)
  const texts = [text ?? '']
  for (const folder of FOLDERS.map(each => `${each}/${unit}.d`)) {
    const names = (await files.list(folder)).filter(name => name.endsWith('.conf'))
    for (const name of names) texts.push((await files.read(`${folder}/${name}`)) ?? '')
  }
  let commands: string[] = []
  for (const [, command = ''] of texts.join('\n').matchAll(/^[ \t]*ExecStop[ \t]*=[ \t]*(.*)$/gm)) {
    // systemd.service(5): the empty command takes back those before it.
    if (command.trim() === '') commands = []
    else commands.push(command)
  }
  return commands.some(command => /log-?out/i.test(command))
}
