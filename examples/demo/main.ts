// The main job on a simulated dom0: no root, no Xen, no SAN, and nothing to wait for.
//
//   npm run demo
import { demo } from './demo.ts'

await demo(line => console.log(line))
