import { Drops } from "../core/drops.ts";
import type { Compression } from "./block.ts";
import type { SegmentLimits } from "./segments.ts";
import type { Durability } from "./writer.ts";

const HOUR_MS = 3_600_000;
const MB = 1024 * 1024;

export interface JournalOptions {
  /** Folder of the database; made when it is missing. */
  readonly location: string;
  /** Writes that may share one batch. */
  readonly batchMax: number;
  readonly durability?: Durability;
  /** Of the blocks of messages. */
  readonly compression?: Compression;
  /** How long after an append its sync follows when durability is `interval`. */
  readonly syncIntervalMs?: number;
  /** Messages that every function is done with are kept for replay until they are older than this or more than so many bytes. */
  readonly retentionAgeMs?: number;
  readonly retentionBytes?: number;
  /** Bytes of messages at which those from clients have to wait. */
  readonly bytesMax?: number;
  /** Free bytes of the disk below which messages from clients have to wait. */
  readonly freeSpaceMin?: number;
  readonly deadLettersBytesMax?: number;
  /** Bytes of events that wait for the cloud, in all and with one priority; at them the events' own rules apply. */
  readonly outboxBytesMax?: number;
  readonly outboxLaneBytesMax?: number;
  /** Where is counted what is dropped at a quota. */
  readonly drops?: Drops;
  /** How fine the index of times and bytes is; whole segments are deleted. */
  readonly segment?: SegmentLimits;
}

/** What a journal is like that is not told otherwise; the configuration has the same defaults. */
const DEFAULTS = {
  durability: "fsync",
  compression: "none",
  syncIntervalMs: 100,
  retentionAgeMs: HOUR_MS,
  retentionBytes: 256 * MB,
  bytesMax: 1024 * MB,
  freeSpaceMin: 64 * MB,
  deadLettersBytesMax: 64 * MB,
  outboxBytesMax: 1024 * MB,
  outboxLaneBytesMax: 512 * MB,
  segment: { bytes: MB, ms: 60_000 },
} as const;

export function complete(options: JournalOptions): Required<JournalOptions> {
  return { ...DEFAULTS, drops: new Drops(), ...options };
}
