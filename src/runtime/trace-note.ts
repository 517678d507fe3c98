import { peekMessage } from "../core/message.ts";
import { VERSION_NAME } from "../core/state-value.ts";
import { TRACED_EFFECTS_MAX, type TraceRecord } from "../core/traces.ts";
import type { Derived } from "./derived.ts";
import type { Draft } from "./draft.ts";
import type { ItemResult } from "./effects.ts";
import type { Item } from "./item.ts";

/** Of a name or a topic. */
const TEXT_CHARS_MAX = 256;

/** Who tried, and with what outcome. */
export interface Tried {
  readonly function: string;
  readonly version: number;
  readonly outcome: TraceRecord["outcome"];
  /** Of the error, when it failed. */
  readonly code?: string | undefined;
}

/** What a draft had before a message was added to it. */
export interface DraftMark {
  readonly events: number;
  readonly derived: number;
}

/** What came of a message that is done with: what the draft has from `mark` on, up to `end` or its end. */
export interface Added {
  readonly draft: Draft;
  readonly mark: DraftMark;
  readonly end?: DraftMark;
}

/** What is written down of one try, while it is being committed. */
export class TraceNote {
  readonly function: string;
  readonly derived: readonly Derived[];
  readonly #record: TraceRecord;
  readonly #madeAt = performance.now();
  readonly #seqs: number[] = [];

  constructor(item: Item, result: ItemResult, tried: Tried, added?: Added) {
    const now = Date.now();
    const { seq, time } = item.message;
    const { trace } = item;
    const effects = result.status === "done" && tried.outcome === "done" ? result.effects : NO_EFFECTS;
    const state = effects.state.filter(({ name }) => name !== VERSION_NAME);
    const events = added?.draft.events.slice(added.mark.events, added.end?.events) ?? [];
    const places: { type: string; outbox?: string }[] = events.slice(0, TRACED_EFFECTS_MAX).map((event) => {
      const place: { type: string; outbox?: string } = { type: cut(event.type) };
      event.placed = (key) => void (place.outbox = key.toString("base64"));
      return place;
    });
    this.function = tried.function;
    this.derived = added?.draft.derived.slice(added.mark.derived, added.end?.derived) ?? [];
    this.#record = {
      seq,
      function: tried.function,
      version: tried.version,
      attempt: item.attempt,
      arrived: time,
      sent: hundredths(now - (this.#madeAt - (item.sentAt ?? this.#madeAt))),
      answered: now,
      outcome: tried.outcome,
      ...(tried.code === undefined ? {} : { code: tried.code }),
      ...(trace === undefined || trace === null ? {} : { trace: trace.context.traceId, span: trace.span, parent: trace.context.parentId }),
      state: state.slice(0, TRACED_EFFECTS_MAX).map(({ name }) => cut(name)),
      events: places,
      publishes: effects.publishes.slice(0, TRACED_EFFECTS_MAX).map((record) => cut(peekMessage(record, 0).topic)),
      derived: [],
      ...this.#more({ state, events, publishes: effects.publishes, derived: this.derived }),
    };
  }

  #more(all: Record<"state" | "events" | "publishes" | "derived", readonly unknown[]>): Pick<TraceRecord, "more"> {
    const more = { state: over(all.state), events: over(all.events), publishes: over(all.publishes), derived: over(all.derived) };
    return Object.values(more).some((count) => count > 0) ? { more } : {};
  }

  /** One of the derived messages has this seq. */
  becomes(seq: number): void {
    if (this.#seqs.length < TRACED_EFFECTS_MAX) this.#seqs.push(seq);
  }

  /** For a try of which nothing is written. */
  get record(): TraceRecord {
    return this.#record;
  }

  /** What came of it is written now. */
  committed(): TraceRecord {
    const committed = hundredths(this.#record.answered + performance.now() - this.#madeAt);
    return { ...this.#record, derived: [...this.#seqs], committed };
  }
}

function over(list: readonly unknown[]): number {
  return Math.max(0, list.length - TRACED_EFFECTS_MAX);
}

function cut(text: string): string {
  return text.length <= TEXT_CHARS_MAX ? text : `${text.slice(0, TEXT_CHARS_MAX - 1)}…`;
}

function hundredths(ms: number): number {
  return Math.round(ms * 100) / 100;
}

const NO_EFFECTS = { state: [], events: [], publishes: [] };
