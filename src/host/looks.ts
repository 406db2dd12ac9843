/** Looks at the host that cost much, and that operations of one process share. */
export interface Looks {
  /**
   * What a look finds that begins after this call: those who ask while one is on its way get the next one together, since
   * what it has passed by may have changed. `name` is that of the look, the same for all who share it.
   */
  share<T>(name: string, look: () => Promise<T>): Promise<T>
}
