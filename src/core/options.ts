/** What every asynchronous call of this library accepts as its last argument. */
export interface OperationOptions {
  /**
   * Aborts the call: it rejects with `signal.reason`. A process already started is ended with SIGTERM,
   * except iscsiadm at work on its database, which would stay locked;
   * what iscsid or multipathd were told goes on, and `attachLun` undoes it before rejecting.
   */
  readonly signal?: AbortSignal | undefined
}
