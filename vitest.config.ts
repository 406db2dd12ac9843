import { defineConfig } from 'vitest/config'

const source = (path: string): string => new URL(path, import.meta.url).pathname

export default defineConfig({
  // The lab's takes import the package by its name; unit tests run them against the sources.
  resolve: { alias: { 'xen-lun/testing': source('src/testing/index.ts'), 'xen-lun': source('src/index.ts') } },
  test: {
    include: ['test/**/*.test.ts'],
    typecheck: { enabled: true, include: ['test/**/*.test-d.ts'] },
  },
})
