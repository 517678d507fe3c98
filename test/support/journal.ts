import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Cursor } from "../../src/core/cursor.ts";
import { decodeMessage, encodeMessage, type JournaledMessage, type Message } from "../../src/core/message.ts";
import { type Commit, type Entry, Journal, type JournalEvents, type JournalOptions } from "../../src/journal/journal.ts";

/** An entry with `topic` and a text; everything else is plain. */
export function entryOf(topic: string, text: string, more: Partial<Message> = {}): Entry {
  const message: Message = { topic, payload: Buffer.from(text), qos: 1, retain: false, time: 1_000, source: "test", hops: 0, ...more };
  return { topic, time: message.time, hops: message.hops, record: encodeMessage(message) };
}

export function textOf(message: Pick<JournaledMessage, "record">): string {
  return Buffer.from(decodeMessage(message.record).payload).toString();
}

/** A commit that does nothing but what is named. */
export function commitOf(consumer: string, cursor: Cursor, more: Partial<Commit> = {}): Commit {
  return { consumer, cursor, state: [], events: [], publishes: [], derived: [], deadLetters: [], ...more };
}

export function append(journal: Journal, entry: Entry): Promise<void> {
  return new Promise((resolve, reject) => journal.append(entry, (error) => (error ? reject(error) : resolve())));
}

export function commit(journal: Journal, what: Commit): Promise<void> {
  return new Promise((resolve, reject) => journal.commit(what, (error) => (error ? reject(error) : resolve())));
}

/** Appends for a QoS 2 packet; tells whether it was known already. */
export function appendOnce(journal: Journal, client: string, packetId: number, entry: Entry): Promise<boolean> {
  return new Promise((resolve, reject) =>
    journal.qos2.append(client, packetId, entry, (error, duplicate) => (error ? reject(error) : resolve(duplicate === true))),
  );
}

/** Nothing is kept for replay, and every block can be deleted by itself. */
export const KEEPS_NOTHING = { retentionAgeMs: 0, retentionBytes: 0, segment: { bytes: 1, ms: 60_000 } } as const;

export async function openJournal(
  location: string,
  events: Partial<JournalEvents> = {},
  options: Partial<JournalOptions> = {},
): Promise<Journal> {
  const journal = await Journal.open({ location, batchMax: 256, ...options });
  journal.subscribe({ incoming: () => undefined, publishes: () => undefined, ...events });
  return journal;
}

/** Everything in the journal from `from` on, as `seq:text`. */
export async function allTexts(journal: Journal, from = 1): Promise<string[]> {
  const texts: string[] = [];
  for (let at = from; ;) {
    const messages = await journal.read(at, 100);
    if (messages.length === 0) return texts;
    for (const message of messages) texts.push(`${message.seq}:${textOf(message)}`);
    at = (messages.at(-1)?.seq ?? at) + 1;
  }
}

export async function bytesOnDisk(location: string): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(location)) {
    // LevelDB deletes files while they are being looked at.
    const about = await stat(join(location, name)).catch(() => undefined);
    bytes += about?.size ?? 0;
  }
  return bytes;
}
