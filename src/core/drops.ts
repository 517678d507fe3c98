/** Why something was dropped although nothing was wrong with it. Closed, because scripts and alerts match on it. */
export const DROP_REASONS = [
  "journal-overflow",
  "outbox-overflow",
  "outbox-expired",
  "outbox-replaced",
  "outbox-too-large",
  "dead-letter-overflow",
  "volatile-behind",
  "log-overflow",
  "log-unwritten",
  "trace-overflow",
] as const;
export type DropReason = (typeof DROP_REASONS)[number];

/** What was dropped of one function for one reason since the process started. */
export interface Dropped {
  readonly function: string;
  readonly reason: DropReason;
  readonly count: number;
}

/** Counts what is dropped because a person chose so, in a manifest or in the configuration: nothing is dropped without being counted here. */
export class Drops {
  readonly #counts = new Map<string, { function: string; reason: DropReason; count: number }>();

  count(reason: DropReason, functionName: string, amount: number): void {
    if (amount <= 0) return;
    const key = `${reason} ${functionName}`;
    const entry = this.#counts.get(key);
    if (entry === undefined) this.#counts.set(key, { function: functionName, reason, count: amount });
    else entry.count += amount;
  }

  all(): readonly Dropped[] {
    return [...this.#counts.values()].map((entry) => ({ ...entry }));
  }
}
