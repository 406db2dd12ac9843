/** What libxl tells, and where xenstored is. */
export const KEPT_VARIABLES: readonly string[] = [
  'XENBUS_PATH',
  'XENBUS_TYPE',
  'XENBUS_BASE_PATH',
  'script',
  'XENSTORED_PATH',
  'XENSTORED_RUNDIR',
]

/**
 * The environment for this run and all it starts. libxl passes on that of whoever called xl, and the tools' answers would
 * depend on it: language, PATH, NODE_OPTIONS.
 */
export function cleanEnvironment(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const kept = KEPT_VARIABLES.flatMap(name => (env[name] === undefined ? [] : [[name, env[name]] as const]))
  return { ...Object.fromEntries(kept), PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }
}
