import type { Call } from './call.ts'

export async function expire(_call: Call): Promise<void> {}
