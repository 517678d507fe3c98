import { vi } from "vitest";

export interface Patience {
  /** Milliseconds after which the last failure of the check is thrown. */
  readonly timeout?: number;
  readonly interval?: number;
}

/**
 * Waits until `check` does not throw any more, and gives what it gave. The default outlasts every pause of a machine that does other work as well,
 * since a condition that comes late is no failure; one that never comes is.
 */
export function eventually<T>(check: () => T | Promise<T>, { timeout = 30_000, interval = 20 }: Patience = {}): Promise<T> {
  return vi.waitFor(check, { timeout, interval });
}
