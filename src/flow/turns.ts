import PQueue from 'p-queue'

/** Tasks of one name run one after the other, in the order they came. */
export interface Turns {
  take<T>(name: string, task: () => Promise<T>): Promise<T>
}

export function createTurns(): Turns {
  const queues = new Map<string, PQueue>()
  return {
    take: async (name, task) => {
      const queue = queues.get(name) ?? new PQueue({ concurrency: 1 })
      queues.set(name, queue)
      try {
        return await queue.add(task)
      } finally {
        if (queue.size === 0 && queue.pending === 0) queues.delete(name)
      }
    },
  }
}
