import assert from 'node:assert/strict'
import { createXenstore, type Xenstore } from 'xen-lun'
import { presentLuns } from '../../test/scenarios/lun.ts'
import type { Scenario } from '../../test/scenarios/scenario.ts'
import { installScript } from '../world/install.ts'
import { runBlockScript } from '../world/script.ts'
import type { World } from '../world/world.ts'
import { diskTarget } from './disk.ts'

/** Domains that do not exist: nobody but us looks at them. */
const domains = {
  guest: { domid: 30_000, vm: '/vm/11111111-0000-4000-8000-000000000000' },
  stub: { domid: 30_001, vm: '/vm/22222222-0000-4000-8000-000000000000', target: 30_000 },
  other: { domid: 30_002, vm: '/vm/33333333-0000-4000-8000-000000000000' },
  otherStub: { domid: 30_003, vm: '/vm/44444444-0000-4000-8000-000000000000', target: 30_002 },
} as const
type Name = keyof typeof domains

const backends = '/local/domain/0/backend/vbd'
const backendOf = (name: Name): string => `backend/vbd/${domains[name].domid}/51712`

// No "state": the kernel's blkback would take a backend that begins for one of its own.
async function present(xenstore: Xenstore, params: string): Promise<void> {
  for (const [name, { domid, vm, ...rest }] of Object.entries(domains)) {
    const domain = `/local/domain/${domid}`
    const backend = `${backends}/${domid}/51712`
    await xenstore.write({
      [`${domain}/name`]: name,
      [`${domain}/vm`]: vm,
      ...('target' in rest && { [`${domain}/target`]: String(rest.target) }),
      [`${backend}/params`]: params,
      [`${backend}/mode`]: 'w',
      [`${backend}/type`]: 'phy',
    })
  }
}

async function remove(xenstore: Xenstore): Promise<void> {
  for (const { domid } of Object.values(domains)) {
    await xenstore.rm(`/local/domain/${domid}`)
    await xenstore.rm(`${backends}/${domid}`)
  }
}

async function play(world: World, xenstore: Xenstore): Promise<void> {
  await presentLuns(world, 0)
  await present(xenstore, diskTarget(world, 0))
  const script = async (action: 'add' | 'remove', name: Name): Promise<number> => {
    const { exitCode, stdout, stderr } = await runBlockScript(action, backendOf(name))
    console.error(`LAB: stub-domain: ${action} of ${name}: ${exitCode} ${stdout}${stderr}`.trim())
    return exitCode
  }
  const device = async (name: Name): Promise<string | undefined> =>
    await xenstore.tryRead(`${backendOf(name)}/physical-device`)
  assert.equal(await script('add', 'guest'), 0)
  assert.equal(await script('add', 'stub'), 0)
  assert.equal(await device('stub'), await device('guest'))
  for (const name of ['other', 'otherStub'] as const) {
    assert.equal(await script('add', name), 1)
    assert.equal(await device(name), undefined)
    assert.match((await xenstore.tryRead(`${backendOf(name)}/hotplug-error`)) ?? '', /\b(?:guest|stub)\b/)
  }
  assert.equal(await script('remove', 'stub'), 0)
  assert.equal((await world.snapshot()).maps.length, 1, 'the guest has it still')
  assert.equal(await script('remove', 'guest'), 0)
}

async function stubDomain(world: World): Promise<void> {
  await installScript()
  await using xenstore = createXenstore(world.host)
  try {
    await play(world, xenstore)
  } finally {
    await remove(xenstore)
  }
  await world.expectClean()
}

export const stubDomainScenarios: readonly Scenario<World>[] = [
  {
    name: 'stub-domain',
    about: "A guest's stub domain gets the guest's disk, that of another VM does not (the keys are written by hand)",
    onlyOnDom0: 'it takes the installed script',
    isLong: true,
    run: stubDomain,
  },
]
