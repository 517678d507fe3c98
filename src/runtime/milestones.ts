import type { JournaledMessage } from "../core/message.ts";

const MESSAGES = 32_768;
const BYTES = 32 * 1024 * 1024;

/**
 * Says when so much has come in that every function is to write down how far it has looked. After a crash a function looks again through at most
 * about that much, whoever the messages are for.
 */
export class Milestones {
  readonly #every: number;
  #messages = 0;
  #bytes = 0;

  /** `every` so many messages, or after 32 MiB. */
  constructor(every = MESSAGES) {
    this.#every = every;
  }

  /** Whether these are on the way past one. */
  isPassed(messages: readonly JournaledMessage[]): boolean {
    this.#messages += messages.length;
    for (const { record } of messages) this.#bytes += record.length;
    if (this.#messages < this.#every && this.#bytes < BYTES) return false;
    this.#messages = 0;
    this.#bytes = 0;
    return true;
  }
}
