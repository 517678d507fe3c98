import type { JournaledMessage } from "../core/message.ts";

/** Many at a time: between two reads everything else has its turn. */
const READ_MESSAGES = 8_192;
/** After so many reads those who look are told how far that is. */
const READS_UNTOLD = 4;

interface FinderParts<Owner> {
  read(from: number, max: number): Promise<readonly JournaledMessage[]>;
  /** Whom a message with this topic wakes. */
  owners(topic: string): readonly { readonly owner: Owner }[];
  /** Seq after the newest message that came in. */
  head(): number;
}

interface Request {
  readonly from: number;
  /** Everything from there on is being looked at. */
  joined: boolean;
  looked(upTo: number): void;
  resolve(seq: number): void;
}

/**
 * Looks in the journal for the next message of a function, for all functions at once that look for theirs. What one function has waiting is in the way of
 * every other one that is not at the end of the journal: each of them would read all of it.
 */
export class Finder<Owner> {
  readonly #parts: FinderParts<Owner>;
  readonly #requests = new Map<Owner, Request>();
  #running = false;

  constructor(parts: FinderParts<Owner>) {
    this.#parts = parts;
  }

  /**
   * A seq with nothing for the owner from `from` up to it, as far as was looked: its next message or the head of the journal. `from` itself when the
   * journal cannot be read. An owner looks for one thing at a time, and is told on the way how far has been looked.
   */
  find(owner: Owner, from: number, looked: (upTo: number) => void): Promise<number> {
    const { promise, resolve } = Promise.withResolvers<number>();
    this.#requests.get(owner)?.resolve(from);
    this.#requests.set(owner, { from, joined: false, looked, resolve });
    if (!this.#running) void this.#run();
    return promise;
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#requests.size > 0) {
      await Promise.resolve(); // Those who ask in the same turn look together.
      const from = Math.min(...[...this.#requests.values()].map((request) => request.from));
      try {
        await this.#pass(from);
      } catch {
        // They read for themselves, and say what is wrong.
        for (const [owner, request] of this.#requests) this.#answer(owner, request.from);
      }
    }
    this.#running = false;
  }

  /** From there on, until everybody has an answer who looks for something from there on. Who begins on the way and further back has to wait. */
  async #pass(from: number): Promise<void> {
    for (let [at, reads] = [from, 1]; this.#isWanted(at); reads++) {
      const head = this.#parts.head();
      const messages = await this.#parts.read(at, READ_MESSAGES);
      for (const request of this.#requests.values()) request.joined ||= request.from >= at;
      for (const { seq, topic } of messages) this.#tell(seq, topic);
      at = (messages.at(-1)?.seq ?? head - 1) + 1;
      if (messages.length > 0 && at < head) {
        if (reads % READS_UNTOLD === 0) this.#report(at);
        continue;
      }
      for (const [owner, request] of this.#requests) if (request.joined) this.#answer(owner, Math.max(request.from, at));
      return;
    }
  }

  #report(at: number): void {
    for (const request of this.#requests.values()) if (request.joined && request.from < at) request.looked(at);
  }

  #tell(seq: number, topic: string): void {
    for (const { owner } of this.#parts.owners(topic)) {
      const request = this.#requests.get(owner);
      if (request?.joined === true && request.from <= seq) this.#answer(owner, seq);
    }
  }

  #isWanted(at: number): boolean {
    for (const { from, joined } of this.#requests.values()) if (joined || from >= at) return true;
    return false;
  }

  #answer(owner: Owner, seq: number): void {
    this.#requests.get(owner)?.resolve(seq);
    this.#requests.delete(owner);
  }
}
