import { rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { withHosts } from './hosts.ts'

const [image = '', initrd = '', out = '', seconds = ''] = process.argv.slice(2)
const t0 = performance.now()
const log = (...a: unknown[]) => console.log(((performance.now() - t0) / 1000).toFixed(1), ...a)
await withHosts(
  { boot: '/tmp/team/hosts/lab/image/boot', image, initrd, project: '/tmp/team/hosts', out, seconds: Number(seconds) },
  async hosts => {
    log('ready')
    for (const m of Object.values(hosts)) (m as any).ended.then((r: string) => log(m.name, 'ended', r))
    rmSync('/tmp/exp.sock', { force: true })
    await new Promise<void>(resolve => {
      createServer(s => {
        createInterface({ input: s }).on('line', async line => {
          if (line === 'quit') {
            resolve()
            s.end()
            return
          }
          const { m, f, a = [] } = JSON.parse(line)
          const t = performance.now()
          try {
            const r = await (hosts as any)[m].ask[f](...a)
            s.write(
              (typeof r === 'string' ? r : JSON.stringify(r, undefined, 1)) +
                `\n[${((performance.now() - t) / 1000).toFixed(1)} s]\n`
            )
          } catch (e) {
            s.write(String(e) + '\n')
          }
          s.end()
        })
      }).listen('/tmp/exp.sock')
    })
  }
)
log('done')
process.exit(0)
