/** Something to be done; everything in it was made by this library. */
export type ReconcileAction =
  /** Lets go of a LUN for an owner that is gone, and detaches it if that was the last one. */
  | {
      readonly kind: 'release'
      readonly target: string
      readonly lun: number
      readonly owner: string
      readonly why: string
    }
  /** Strikes a LUN out of the journal that cannot be there any more. */
  | { readonly kind: 'forget'; readonly target: string; readonly lun: number; readonly why: string }
  /** Ends sessions on which no LUN lives, and with the last one deletes our node records. */
  | { readonly kind: 'leave'; readonly target: string; readonly why: string }
  /** Has a map wait again for a path that works: a detach by force left it failing I/O. */
  | { readonly kind: 'requeue'; readonly target: string; readonly lun: number; readonly why: string }
  /** Removes the lock of a process that is dead. */
  | { readonly kind: 'unlock'; readonly path: string; readonly why: string }
  /** Removes the draft of a node or discovery record, which may hold a secret. */
  | { readonly kind: 'discard'; readonly path: string; readonly why: string }
  /** Puts back, or removes, the discovery record of a portal, in which a dead process left credentials. */
  | { readonly kind: 'restore'; readonly portal: string; readonly why: string }
  /** Notes where a boot does not forget it which node records are ours. */
  | { readonly kind: 'keep'; readonly target: string; readonly why: string }
