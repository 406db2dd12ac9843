import type { OperationOptions } from '../core/options.ts'

/** An open connection to xenstored, as bytes: it knows nothing of what they mean. */
export interface ByteChannel {
  /** The longest message it carries, header and all. */
  readonly maxMessageBytes: number
  /** A message may be sent only when the one before has been answered. */
  readonly isOneByOne: boolean
  /** Sends one whole message after those before it. Never waits, never throws; what fails closes the channel. */
  send(message: Uint8Array): void
  /** Whether anything is awaited from it. An idle one keeps no process alive, and closes itself after a while. */
  setBusy(isBusy: boolean): void
  /** At once, whatever is under way. {@link ChannelListener.onClose} is not called. */
  close(): void
}

/** Who hears of a {@link ByteChannel}. */
export interface ChannelListener {
  /** Bytes in their order, in pieces of any size. */
  onBytes(bytes: Uint8Array): void
  /** It closed by itself, and why. The last call. */
  onClose(reason: string): void
}

/** Which connections will do. */
export interface XenstoreConnectOptions extends OperationOptions {
  /** Also the kernel's device, where no socket takes the connection. Default false. */
  readonly allowDevice?: boolean
}

/**
 * Opens a connection to the xenstored of a host.
 *
 * @throws {@link LunError} `XENSTORE_UNAVAILABLE` where nobody listens; `signal.reason` on abort.
 */
export type XenstoreConnect = (listener: ChannelListener, options?: XenstoreConnectOptions) => Promise<ByteChannel>
