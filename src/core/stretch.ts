import { z } from "zod";
import { parseTopicFilter, TopicTrie } from "./topic.ts";
import { parseDuration } from "./units.ts";

/** A place in the journal: a seq, or the first message that arrived at or after a time in milliseconds since the epoch. */
export type Position = { readonly seq: number } | { readonly time: number };

/** What a position may be, for the text of an error. */
export const POSITION_FORMS = "a seq (1200), an RFC 3339 time (2026-11-20T08:00:00Z) or a duration before now (-1h)";

const rfc3339 = z.iso.datetime({ offset: true });

/** Undefined when the text is none of `POSITION_FORMS`. */
export function parsePosition(text: string, now: number): Position | undefined {
  if (/^\d+$/.test(text)) return Number.isSafeInteger(Number(text)) ? { seq: Number(text) } : undefined;
  if (text.startsWith("-")) {
    const ms = parseDuration(text.slice(1));
    return ms === undefined ? undefined : { time: Math.max(0, now - ms) };
  }
  return rfc3339.safeParse(text).success ? { time: Date.parse(text) } : undefined;
}

export interface StretchBounds {
  readonly from?: Position | undefined;
  /** Not part of the stretch. */
  readonly to?: Position | undefined;
  /** A topic filter. */
  readonly topic?: string | undefined;
}

/**
 * Tells which messages belong to a stretch of traffic. It is one run of consecutive messages: it begins with the first that has reached `from` and
 * ends before the first after it that has reached `to`, so a clock that was set back in between takes no messages out of it.
 */
export class Stretch {
  readonly #from: Position;
  readonly #to: Position;
  readonly #topics: TopicTrie<true> | undefined;
  #begun = false;

  /** @throws MillraceError TOPIC_FILTER_INVALID */
  constructor({ from, to, topic }: StretchBounds) {
    this.#from = from ?? { seq: 0 };
    this.#to = to ?? { seq: Infinity };
    if (topic === undefined) return;
    this.#topics = new TopicTrie();
    this.#topics.add(parseTopicFilter(topic), true);
  }

  /** Whether `from` has been reached. */
  get begun(): boolean {
    return this.#begun;
  }

  /** To be asked for message after message, in order. `over` says that this one and all behind it are not part of the stretch. */
  place(message: { readonly seq: number; readonly time: number; readonly topic: string }): "wanted" | "skipped" | "over" {
    this.#begun ||= reached(this.#from, message);
    if (!this.#begun) return "skipped";
    if (reached(this.#to, message)) return "over";
    return this.#topics === undefined || this.#topics.match(message.topic).size > 0 ? "wanted" : "skipped";
  }
}

function reached(position: Position, { seq, time }: { readonly seq: number; readonly time: number }): boolean {
  return "seq" in position ? seq >= position.seq : time >= position.time;
}
