import type { Hosts } from './hosts.ts'

/** Brings all three machines back to the state of the start, by force. */
export const resetHosts = async ({ hosta, hostb, storage }: Hosts): Promise<void> => {
  await storage.ask.restoreHosts()
  await Promise.all([hosta, hostb].map(({ ask }) => ask.reset()))
  await storage.ask.reset()
}
