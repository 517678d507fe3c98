import type { JournaledMessage } from "../core/message.ts";

/** Messages that are kept while a read is under way. Beyond that the reader is behind, and reads once more. */
const MEANWHILE_MAX = 4_096;
const MEANWHILE_BYTES_MAX = 8 * 1024 * 1024;

export interface TailJournal {
  read(from: number, max: number): Promise<readonly JournaledMessage[]>;
}

export interface Stretch {
  readonly messages: readonly JournaledMessage[];
  /** Everything below has been read, apart from volatile messages, which cannot be. */
  readonly upTo: number;
  /** Nothing was announced so far that is not here. */
  readonly end: boolean;
}

/**
 * Reads the journal up to what is being announced. A reader that asked again and again would never meet the newest message while messages come
 * without a pause, so what is announced during a read is kept and follows what was read.
 */
export class Tail {
  readonly #journal: TailJournal;
  readonly #head: () => number;
  /** Tells of volatile messages that could not be kept. */
  readonly #missed: (count: number) => void;
  #meanwhile: JournaledMessage[] | undefined;
  #meanwhileBytes = 0;
  #overflowed = false;

  constructor(journal: TailJournal, head: () => number, missed: (count: number) => void) {
    this.#journal = journal;
    this.#head = head;
    this.#missed = missed;
  }

  /** A message was announced that concerns the reader. False when nobody is reading, so that it is not kept. */
  announce(message: JournaledMessage): boolean {
    if (this.#meanwhile === undefined) return false;
    this.#overflowed ||= this.#meanwhile.length >= MEANWHILE_MAX || this.#meanwhileBytes >= MEANWHILE_BYTES_MAX;
    this.#meanwhileBytes += message.record.length;
    if (!this.#overflowed) this.#meanwhile.push(message);
    else if (message.volatile === true) this.#missed(1);
    return true;
  }

  /**
   * At most about `max` messages from `from` on, and behind them what was announced meanwhile. `take` is called before anything else can be
   * announced.
   */
  async read(from: number, max: number, take: (stretch: Stretch) => void): Promise<void> {
    const head = this.#head();
    const meanwhile: JournaledMessage[] = [];
    this.#meanwhile = meanwhile;
    this.#meanwhileBytes = 0;
    this.#overflowed = false;
    let messages: readonly JournaledMessage[];
    try {
      messages = await this.#journal.read(from, max);
    } finally {
      this.#meanwhile = undefined;
    }
    const last = messages.at(-1)?.seq;
    const upTo = last === undefined ? Math.max(from, head) : last + 1;
    if (upTo < head || this.#overflowed) {
      this.#missed(meanwhile.filter((message) => message.volatile === true).length);
      return take({ messages, upTo, end: false });
    }
    const late = meanwhile.filter((message) => message.seq >= upTo || message.volatile === true);
    const all = late.length === 0 ? messages : [...messages, ...late].toSorted((a, b) => a.seq - b.seq);
    take({ messages: all, upTo: this.#head(), end: true });
  }
}
