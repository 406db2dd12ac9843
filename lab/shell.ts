import { createWorld } from './world/world.ts'

const iqn = 'iqn.2026-01.test.lab:shell'

const { san } = await createWorld()
const { wwid } = await san.addVolume({ name: 'shell', sizeMiB: 64 })
await san.addTarget({ iqn, luns: { 0: 'shell' } })

console.log(`
The lab's dom0. iscsid and multipathd run; their logs are in /var/log/lab. The project is at /project.
  portals  ${san.portals.join(' ')}
  target   ${iqn}
  LUN 0    ${wwid} (64 MiB)
"exit" ends the machine.
`)
