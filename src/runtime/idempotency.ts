import { hash } from "node:crypto";
import type { Manifest } from "../core/manifest.ts";
import { decodeMessage, type Message } from "../core/message.ts";
import type { Item } from "./item.ts";

type Settings = NonNullable<Manifest["idempotency"]>;

/** That a message with some key was handled, or, without a time, that this is forgotten. */
export interface MarkWrite {
  readonly mark: string;
  readonly time?: number;
  readonly seq: number;
}

/** What is to be done with a message: handle it, leave it out because its key was handled, or wait because its key is being handled. */
export type Verdict = "handle" | "duplicate" | "wait";

/**
 * Which idempotency keys a function has handled. A mark is written in the same batch as the effects of its message, so after a crash either both
 * are there or neither. A message whose key is being handled waits until it is known what becomes of the other: it is left out only when the
 * effects of that one are committed with or before the cursor that says so.
 */
export class Idempotency {
  readonly #settings: Settings;
  /** Time of the message by mark, oldest message first. */
  readonly #handled = new Map<string, number>();
  /** The seq of the message that is being handled, by mark. */
  readonly #underWay = new Map<string, number>();
  readonly #waitedFor = new Set<string>();

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** `marks`: those that were kept, oldest first. */
  load(marks: readonly Required<MarkWrite>[]): void {
    for (const { mark, time } of marks) this.#handled.set(mark, time);
  }

  /** To be asked when a message could be handled now. */
  admit(item: Item): Verdict {
    item.mark ??= this.#markOf(item) ?? null;
    const { mark } = item;
    if (mark === null) return "handle";
    const time = this.#handled.get(mark);
    // A clock that was set back makes messages look older than those before them: they are within the window all the same.
    if (time !== undefined && item.message.time - time < this.#settings.windowMs) return "duplicate";
    const other = this.#underWay.get(mark) ?? item.message.seq;
    if (other !== item.message.seq) {
      this.#waitedFor.add(mark);
      return "wait";
    }
    this.#underWay.set(mark, item.message.seq);
    return "handle";
  }

  /** The message was handled; adds what has to be written with its effects. */
  done(item: Item, writes: MarkWrite[]): void {
    const { mark } = item;
    if (mark === null || mark === undefined) return;
    const { seq, time } = item.message;
    this.#handled.delete(mark);
    this.#handled.set(mark, time);
    writes.push({ mark, time, seq });
    for (const [oldest, from] of this.#handled) {
      const expired = from + this.#settings.windowMs <= time;
      if (!expired && this.#handled.size <= this.#settings.entries) break;
      this.#handled.delete(oldest);
      writes.push({ mark: oldest, seq });
    }
  }

  /** The message is not being handled any more. Answers with its mark when others have waited for that. */
  release(item: Item): string | undefined {
    const { mark } = item;
    if (mark === null || mark === undefined || this.#underWay.get(mark) !== item.message.seq) return undefined;
    this.#underWay.delete(mark);
    return this.#waitedFor.delete(mark) ? mark : undefined;
  }

  /** A digest, so that a mark has one size whatever people use for keys; of the setting too, so that another setting has other marks. */
  #markOf(item: Item): string | undefined {
    const { key } = this.#settings;
    const value = idempotencyKey(key, decodeMessage(item.message.record));
    return value === undefined ? undefined : hash("sha256", `${key} ${value}`, "base64url").slice(0, 22);
  }
}

/** The value of an idempotency key in a message, as text that tells 1 from "1"; undefined when the message has none. */
export function idempotencyKey(setting: string, message: Message): string | undefined {
  if (setting.startsWith("property:")) {
    const value = message.properties?.user?.[setting.slice("property:".length)];
    const first = typeof value === "string" ? value : value?.[0];
    return first === undefined ? undefined : JSON.stringify(first);
  }
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(message.payload).toString());
  } catch {
    return undefined; // Not JSON, so it has no such key; the handler says what it thinks of it.
  }
  for (const name of setting.split(".").slice(1)) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
    value = Reflect.get(value, name);
  }
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? JSON.stringify(value) : undefined;
}
