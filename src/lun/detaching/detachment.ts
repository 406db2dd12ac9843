/** What a detach did. */
export interface Detachment {
  /**
   * `released`: other owners hold the LUN, so it stays. `lingering`: it stays for `lingerMs`, which `owners` shows.
   * `already-detached`: there was nothing to do.
   */
  readonly outcome: 'detached' | 'released' | 'lingering' | 'already-detached'
  readonly target: string
  readonly lun: number
  /** WWID of the LUN, if it was still known. */
  readonly wwid: string | undefined
  /** Who holds the LUN still. */
  readonly owners: readonly string[]
  /**
   * `lost`: what somebody was writing when no path worked is gone, by `force`. `unknown`: nobody had the LUN open, but a
   * disk that was in no map did not take a last write, so that what was written before its path failed may be lost; a
   * warning names it.
   */
  readonly writes: 'written' | 'lost' | 'unknown'
}
