/** What this process writes to stderr until the end of the block; it is written all the same. */
export interface StderrCapture extends Disposable {
  text(): string
}

export const captureStderr = (): StderrCapture => {
  const { stderr } = process
  const written: string[] = []
  const write = stderr.write.bind(stderr)
  const tee = (chunk: string | Uint8Array): boolean => {
    written.push(typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString())
    return write(chunk)
  }
  stderr.write = tee
  return {
    text: () => written.join(''),
    [Symbol.dispose]: () => {
      stderr.write = write
    },
  }
}
