import { MillraceError } from "../core/errors.ts";
import { aborted } from "../core/lifecycle.ts";
import { decodeMessage, type JournaledMessage } from "../core/message.ts";
import { type RecordedLine, toLine } from "../core/recording.ts";
import { parsePosition, POSITION_FORMS, type Position, Stretch } from "../core/stretch.ts";
import type { JournalSource } from "./parts.ts";

export interface JournalQuery {
  readonly from?: string | undefined;
  /** The seq at which to begin to look for `from`. */
  readonly start?: number | undefined;
  readonly to?: string | undefined;
  readonly topic?: string | undefined;
  /** Messages on the page. */
  readonly limit: number;
  /** Whether to wait for a message when there is none. */
  readonly wait: boolean;
}

export interface JournalPage {
  readonly messages: readonly RecordedLine[];
  /** What the query of the next page has to say, in the place of what this one said. */
  readonly next: { readonly from: string; readonly start: number; readonly to?: string };
  /** The oldest message that is still there, when what was asked for by its seq is gone. */
  readonly oldest?: number;
  /** `more` may follow at once; `end` is the newest message so far; `over` is the end of the stretch. */
  readonly state: "more" | "end" | "over";
}

interface Bounds {
  readonly from: Position;
  readonly to: Position | undefined;
}

/** What is looked at for one page, so that a filter that matches little does not keep the gateway reading. */
const SCAN_MESSAGES_MAX = 20_000;
const READ_MESSAGES = 512;
/** A page that has this much takes no further message. */
const PAGE_BYTES_MAX = 4 * 1024 * 1024;
const WAIT_MS = 20_000;
const WAITING_MAX = 64;

/** The journal for those who are not functions: page by page, in order, each page bounded in messages, bytes and reading. */
export class JournalPages {
  readonly #journal: JournalSource;
  readonly #stop = new AbortController();
  #waiting = 0;

  constructor(journal: JournalSource) {
    this.#journal = journal;
  }

  /** @throws MillraceError REQUEST_INVALID, TOPIC_FILTER_INVALID, TOO_MANY_FOLLOWERS */
  async page(query: JournalQuery, client: AbortSignal): Promise<JournalPage> {
    const now = Date.now();
    const bounds = {
      from: query.from === undefined ? { seq: 0 } : positionOf("from", query.from, now),
      to: query.to === undefined ? undefined : positionOf("to", query.to, now),
    };
    const page = await this.#read(bounds, query);
    if (!query.wait || page.state !== "end" || page.messages.length > 0) return page;
    await this.#wait(page.next.start, client);
    return this.#read(bounds, { ...query, start: page.next.start });
  }

  /** Ends every wait. */
  close(): void {
    this.#stop.abort();
  }

  async #read(bounds: Bounds, { topic, limit, start }: JournalQuery): Promise<JournalPage> {
    const { from, to } = bounds;
    const stretch = new Stretch({ from, to, topic });
    const page = new Page(limit, start ?? ("seq" in from ? from.seq : await this.#journal.seqAt(from.time)));
    let oldest: number | undefined;
    while (page.state === "more" && page.scanned < SCAN_MESSAGES_MAX) {
      // Taken before the reading: what comes in meanwhile is for the next page.
      const head = this.#journal.nextSeq();
      const messages = await this.#journal.read(page.next, READ_MESSAGES);
      if (page.scanned === 0) oldest = await this.#oldest(page.next, messages);
      if (messages.length === 0) page.end(head, to);
      for (const message of messages) if (!page.take(message, stretch)) break;
    }
    const next = { from: stretch.begun ? String(page.next) : textOf(from), start: page.next };
    return {
      messages: page.lines,
      next: to === undefined ? next : { ...next, to: textOf(to) },
      state: page.state === "full" ? "more" : page.state,
      ...(oldest === undefined ? {} : { oldest }),
    };
  }

  /** What was asked for by its seq and is not there may be gone, or never have been on disk. */
  async #oldest(start: number, [first]: readonly JournaledMessage[]): Promise<number | undefined> {
    if (start === 0 || first?.seq === start) return undefined;
    const [oldest] = await this.#journal.read(0, 1);
    return oldest !== undefined && oldest.seq > start ? oldest.seq : undefined;
  }

  /** Until a message has come in, time is up, or nobody wants to know any more. */
  async #wait(next: number, client: AbortSignal): Promise<void> {
    if (this.#waiting >= WAITING_MAX) {
      throw new MillraceError("TOO_MANY_FOLLOWERS", `${this.#waiting} clients wait for messages already, at most ${WAITING_MAX} may`);
    }
    const over = AbortSignal.any([client, this.#stop.signal, AbortSignal.timeout(WAIT_MS)]);
    if (this.#journal.nextSeq() > next) return;
    this.#waiting++;
    try {
      // However the wait ends, the page is what there is then.
      await Promise.race([this.#journal.arrival(over).catch(() => undefined), aborted(over)]);
    } finally {
      this.#waiting--;
    }
  }
}

/** One page while it is being filled. */
class Page {
  readonly lines: RecordedLine[] = [];
  readonly #limit: number;
  #bytes = 0;
  next: number;
  scanned = 0;
  state: "more" | "full" | "end" | "over" = "more";

  constructor(limit: number, start: number) {
    this.#limit = limit;
    this.next = start;
  }

  /** False when the page takes nothing more. */
  take(message: JournaledMessage, stretch: Stretch): boolean {
    const place = stretch.place(message);
    if (place === "over") this.state = "over";
    else if (this.lines.length >= this.#limit || this.#bytes >= PAGE_BYTES_MAX) this.state = "full";
    if (this.state !== "more") return false;
    this.scanned++;
    this.next = message.seq + 1;
    if (place === "skipped") return true;
    this.lines.push(toLine({ seq: message.seq, ...decodeMessage(message.record) }));
    this.#bytes += message.record.length;
    return true;
  }

  /** There is nothing on disk from `next` up to `head`. */
  end(head: number, to: Position | undefined): void {
    this.next = Math.max(this.next, head);
    const over = to !== undefined && ("seq" in to ? this.next >= to.seq : Date.now() > to.time);
    this.state = over ? "over" : "end";
  }
}

function textOf(position: Position): string {
  return "seq" in position ? String(position.seq) : new Date(position.time).toISOString();
}

function positionOf(name: string, text: string, now: number): Position {
  const position = parsePosition(text, now);
  if (position === undefined) throw new MillraceError("REQUEST_INVALID", `${name}: "${text.slice(0, 80)}" is not ${POSITION_FORMS}`);
  return position;
}
