/**
 * For tests without hardware: record what the tools of a real host answer, and play it back.
 *
 * @packageDocumentation
 */
export { formatCassette, parseCassette, type Recording } from './cassette.ts'
export { createRecordingExecutor, type RecordingExecutor } from './recording.ts'
export { createReplayExecutor, type ReplayExecutor } from './replay.ts'
