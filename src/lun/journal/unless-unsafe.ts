import { isLunError } from '../../core/error.ts'

/** What a look finds; `otherwise` where a folder of notes is not ours, which a notice of its own tells. */
export async function unlessUnsafe<T>(look: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await look
  } catch (error) {
    if (isLunError(error, 'PATH_UNSAFE')) return otherwise
    throw error
  }
}
