// Attaches a LUN over two portals, says what became of it, and detaches it again.
//
//   node examples/attach-detach.js iqn.2001-05.com.example:vm1 0 10.0.1.1 10.0.2.1
import { attachLun, isLunError } from 'xen-lun'

const [target = '', lun = '0', ...portals] = process.argv.slice(2)

try {
  // Without portals those of the node database are taken.
  await using attached = await attachLun({
    target,
    lun: Number(lun),
    ...(portals.length > 0 && { portals }),
  })
  const { device, sizeBytes, wwid, outcome, isDegraded } = attached
  console.log(`${outcome}: ${device}, ${sizeBytes} bytes, ${wwid ?? 'no WWID'}${isDegraded ? ', degraded' : ''}`)
  for (const { portal, state, disk, error } of attached.paths) {
    console.log(`  ${portal} ${state} ${disk ?? ''} ${error?.message ?? ''}`)
  }
  // Leaving the block detaches what was attached here.
} catch (error) {
  if (!isLunError(error)) throw error
  console.error(`${error.code}: ${error.message}`)
  process.exitCode = 1
}
