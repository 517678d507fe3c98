import { decode } from "cbor-x";
import type { OutboxEvent } from "../../../src/core/event.ts";
import { overflowOf } from "../../../src/core/outbox-lanes.ts";
import { nameKey } from "../../../src/journal/keys.ts";
import { eventKey, parseEventKey } from "../../../src/journal/outbox-keys.ts";
import { OutboxUsage } from "../../../src/journal/outbox-usage.ts";
import type { Moments } from "./moments.ts";
import type { RecordedWrite } from "./recorder.ts";

/** Quota of one priority: room for three of the events with which the script fills a lane. */
export const LANE_BYTES_MAX = 1_000;

/** The type of these events. */
export const LANE_TYPE = "lane";

const EVENTS = (eventKey(0, 0)[0] ?? 0).toString(16).padStart(2, "0");
const USAGE = nameKey("m", "outbox").toString("hex");

interface Row {
  readonly lane: number;
  readonly position: number;
  readonly expires: boolean;
  readonly bytes: number;
  readonly event: OutboxEvent;
}

/**
 * What is wrong with the outbox on the disks that a crash can leave, one sentence each. Each of them has the first writes and no others, so
 * every write is looked at: the accounts are those of what is stored, and what has gone was with the cloud, or its policy let it go.
 */
export function wrongInLanes(writes: readonly RecordedWrite[], { all }: Moments): string[] {
  const disk = new Map<string, Row>();
  const cloud = new Set<string>();
  const problems: string[] = [];
  let usage = OutboxUsage.decode(undefined);
  for (const moment of all) {
    if (moment.kind === "stored") for (const { id } of moment.events) cloud.add(id);
    const write = moment.kind === "started" ? writes[moment.write - 1] : undefined;
    if (write === undefined) continue;
    const gone: Row[] = [];
    for (const op of write.ops) {
      const key = op.key.toString("hex");
      if (op.type === "put" && key === USAGE) usage = OutboxUsage.decode(op.value);
      if (!key.startsWith(EVENTS)) continue;
      const row = disk.get(key);
      if (row !== undefined) gone.push(row);
      if (op.type === "del") disk.delete(key);
      else disk.set(key, rowOf(op.key, op.value));
    }
    const about = write.points.join("+");
    if (!accountsHold(usage, [...disk.values()]))
      problems.push(`after ${about} the accounts say ${usage.count} events, ${usage.bytes} bytes`);
    for (const row of gone) if (!mayGo(row, [...disk.values()], cloud)) problems.push(`${about} loses ${row.event.id}`);
  }
  return problems;
}

function rowOf(key: Buffer, value: Buffer): Row {
  const { lane, position, expiresAt } = parseEventKey(key);
  return { lane, position, expires: expiresAt !== undefined, bytes: key.length + value.length, event: decode(value) as OutboxEvent };
}

function accountsHold(usage: OutboxUsage, stored: readonly Row[]): boolean {
  const real = new OutboxUsage();
  real.next = usage.next;
  for (const { lane, bytes } of stored) real.change(lane, 1, bytes);
  return real.encode().equals(usage.encode()) && stored.every(({ position }) => position < usage.next);
}

function mayGo({ lane, position, expires, bytes, event }: Row, left: readonly Row[], cloud: ReadonlySet<string>): boolean {
  const others = left.filter((row) => row.lane === lane);
  if (cloud.has(event.id) || expires) return true;
  if (overflowOf(lane) === "keep-latest") return others.some((row) => row.event.subject === event.subject && row.position > position);
  const full = others.reduce((sum, row) => sum + row.bytes, 0) + bytes > LANE_BYTES_MAX;
  return overflowOf(lane) === "drop-oldest" && full && others.every((row) => row.position > position);
}
