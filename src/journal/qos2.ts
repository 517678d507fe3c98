import type { MillraceError } from "../core/errors.ts";
import { qos2Key } from "./keys.ts";
import type { Entry, Writer } from "./writer.ts";

type Done = (error?: MillraceError, duplicate?: boolean) => void;

/**
 * Exactly once into the journal for QoS 2 (MQTT 5, 4.3.3): the packet id is written in the same batch as its message and deleted when the
 * client releases it. A PUBLISH that is sent again after a lost PUBREC, also after a crash, finds its packet id here and is not appended.
 */
export class Qos2Ledger {
  readonly #writer: Writer;
  /** Keys on disk, and keys on their way there with those who wait for them. */
  readonly #stored: Set<string>;
  readonly #pending = new Map<string, Done[]>();
  /** Keys of volatile messages: they last as long as the messages do. */
  readonly #volatile = new Set<string>();
  /**
   * Keys of messages that are in the journal, but perhaps nowhere else: the broker can end, in a crash or in order, before subscribers have
   * got their copies, so that is all keys that were found at the start.
   */
  readonly #unsure: Set<string>;

  constructor(writer: Writer, stored: Set<string>) {
    this.#writer = writer;
    this.#stored = stored;
    this.#unsure = new Set(stored);
  }

  /**
   * `done` is called when the message is in the journal. It is told of a duplicate when nothing is left to be done for the message; one that is
   * sent again after a restart is none the first time, though it is not appended again.
   */
  append(client: string, packetId: number, entry: Entry, done: Done): void {
    const key = qos2Key(client, packetId);
    const text = key.toString("latin1");
    if (this.#stored.has(text) || this.#volatile.has(text)) {
      done(undefined, !this.#unsure.delete(text));
      return;
    }
    const waiting = this.#pending.get(text);
    if (waiting !== undefined) {
      waiting.push(done);
      return;
    }
    const others: Done[] = [];
    this.#pending.set(text, others);
    const taken = (error?: MillraceError): void => {
      // Otherwise the session has ended meanwhile, and the packet id is free or stands for another message.
      if (this.#pending.get(text) === others) {
        this.#pending.delete(text);
        if (error === undefined) (entry.volatile === true ? this.#volatile : this.#stored).add(text);
      }
      done(error);
      for (const other of others) other(error, true);
    };
    if (entry.volatile === true) return this.#writer.pass(entry, taken);
    const ops = [{ key, value: Buffer.alloc(0) }];
    this.#writer.submit({ point: "qos2-append", entries: [entry], ops, publishes: [], sync: true, once: text, done: taken });
  }

  /** Subscribers could not get their copies of the message. It is told of as no duplicate when it is sent again, once. */
  doubt(client: string, packetId: number): void {
    const text = qos2Key(client, packetId).toString("latin1");
    if (this.#stored.has(text) || this.#volatile.has(text)) this.#unsure.add(text);
  }

  has(client: string, packetId: number): boolean {
    const text = qos2Key(client, packetId).toString("latin1");
    return this.#stored.has(text) || this.#volatile.has(text);
  }

  /** Call before PUBCOMP goes out: the client may use the packet id for another message after that, so it is synced. */
  release(client: string, packetId: number): Promise<void> {
    const text = qos2Key(client, packetId).toString("latin1");
    if (this.#volatile.delete(text)) this.#unsure.delete(text);
    return this.#stored.has(text) ? this.#delete([text]) : Promise.resolve();
  }

  /** The client's session has ended; whatever it had open is forgotten, also what is still on its way to the disk. */
  clear(client: string): Promise<void> {
    const prefix = qos2Key(client, 0).subarray(0, -2).toString("latin1");
    const own = (key: string): boolean => key.startsWith(prefix) && key.length === prefix.length + 2;
    for (const key of this.#volatile) if (own(key) && this.#volatile.delete(key)) this.#unsure.delete(key);
    // A deletion would overtake what waits for room. It was not acknowledged, so it need not be written at all.
    this.#writer.withdraw(own);
    const pending = [...this.#pending.keys()].filter(own);
    for (const key of pending) this.#pending.delete(key);
    const keys = [...pending, ...[...this.#stored].filter(own)];
    return keys.length === 0 ? Promise.resolve() : this.#delete(keys);
  }

  /** A key counts as stored until its deletion is durable: a release that is sent again meanwhile waits for it too. */
  #delete(keys: readonly string[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (error?: MillraceError): void => {
        if (error !== undefined) return reject(error);
        for (const key of keys) {
          this.#stored.delete(key);
          this.#unsure.delete(key);
        }
        resolve();
      };
      const ops = keys.map((key) => ({ key: Buffer.from(key, "latin1") }));
      this.#writer.submit({ point: "qos2-release", ops, entries: [], publishes: [], sync: true, done });
    });
  }
}
