/** Why the broker did not keep a session, or a message that it took, by the setting. Closed, because scripts and alerts match on it. */
export const BROKER_DROP_REASONS = [
  "sessions",
  "queue-messages",
  "queue-bytes",
  "queues-bytes",
  "retained-messages",
  "retained-bytes",
  "slow-subscribers",
] as const;
export type BrokerDropReason = (typeof BROKER_DROP_REASONS)[number];

/** What was dropped for one reason since the process started. */
export interface BrokerDropped {
  readonly reason: BrokerDropReason;
  readonly count: number;
}

/** What the broker keeps on disk for its clients. */
export interface StoredStats {
  /** Sessions whose clients are away. */
  readonly sessionsAway: number;
  /** In the queues of all sessions, also what was sent and is not acknowledged. */
  readonly queuedMessages: number;
  readonly queuedBytes: number;
  readonly retainedMessages: number;
  readonly retainedBytes: number;
  readonly drops: readonly BrokerDropped[];
}
