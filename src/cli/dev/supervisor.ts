import { backoffMs, type Clock } from "../../core/clock.ts";
import { MillraceError, messageOf } from "../../core/errors.ts";
import { type Addresses, Child, type ChildOptions } from "./child.ts";
import { readableLine } from "./log-file.ts";

const RESTART = { minMs: 250, maxMs: 10_000 };
/** So many starts in a row that never became ready, or died within `STEADY_MS`, and it is given up. */
const ATTEMPTS_MAX = 6;
const STEADY_MS = 30_000;
const START_KILL_MS = 1_500;
const LAST_WORDS = 3;

export interface SupervisorOptions extends Omit<ChildOptions, "args"> {
  /** Arguments of `millrace`; after the first start with the addresses it had, so that they stay. */
  readonly args: (before: Addresses | undefined) => readonly string[];
  readonly clock: Clock;
  readonly onNote: (level: "info" | "warn" | "error", text: string) => void;
  /** Called when it serves again after it had died. */
  readonly onBack: () => void;
}

/** Keeps one daemon running until it is stopped: a child that dies is started again, after a pause that grows. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #stopping = new AbortController();
  #child: Child;
  #addresses: Addresses;
  #restarts = 0;
  /** Rejects when the daemon could not be kept running; resolves when it was stopped. */
  readonly stopped: Promise<void>;

  /**
   * Resolves when the daemon serves.
   * @throws MillraceError what the child said, or CHILD_FAILED; nothing is left running then
   */
  static async start(options: SupervisorOptions, signal: AbortSignal): Promise<Supervisor> {
    const child = new Child({ ...options, args: options.args(undefined) });
    let stopping: Promise<void> | undefined;
    const stop = (): void => void (stopping = child.stop(START_KILL_MS));
    signal.addEventListener("abort", stop, { once: true });
    try {
      return new Supervisor(options, child, await child.ready);
    } catch (error) {
      await (stopping ?? child.stop(0));
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  private constructor(options: SupervisorOptions, child: Child, addresses: Addresses) {
    this.#options = options;
    this.#child = child;
    this.#addresses = addresses;
    this.stopped = this.#supervise();
    // Watched by whoever runs the program; a rejection before that must not end the process.
    this.stopped.catch(() => {});
  }

  get addresses(): Addresses {
    return this.#addresses;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get restarts(): number {
    return this.#restarts;
  }

  async stop(killAfterMs: number): Promise<void> {
    this.#stopping.abort();
    await this.#child.stop(killAfterMs);
    await this.stopped.catch(() => {});
  }

  async #supervise(): Promise<void> {
    const { clock, name, onNote } = this.#options;
    const { signal } = this.#stopping;
    let attempt = 0;
    while (!signal.aborted) {
      const startedAt = clock.now();
      const how = await this.#child.exited;
      if (signal.aborted) return;
      const tail = this.#child.tail();
      await this.#child.stop(0);
      attempt = clock.now() - startedAt > STEADY_MS ? 1 : attempt + 1;
      if (attempt >= ATTEMPTS_MAX) throw givenUp(name, how, tail);
      const pauseMs = backoffMs(attempt, RESTART);
      onNote("error", `the ${name} died (${how}); starting it again in ${(pauseMs / 1000).toFixed(1)} s`);
      const words = tail.flatMap((line) => readableLine(line) ?? []);
      for (const line of words.slice(-LAST_WORDS)) onNote("warn", `${name}: ${line}`);
      await clock.sleep(pauseMs, signal).catch(() => {});
      if (!signal.aborted) await this.#restart();
    }
  }

  async #restart(): Promise<void> {
    const { name, onNote, onBack } = this.#options;
    this.#child = new Child({ ...this.#options, args: this.#options.args(this.#addresses) });
    this.#restarts++;
    try {
      this.#addresses = await this.#child.ready;
      onNote("info", `the ${name} is back`);
      onBack();
    } catch (error) {
      if (!this.#stopping.signal.aborted) onNote("error", `the ${name} does not start: ${messageOf(error)}`);
    }
  }
}

function givenUp(name: string, how: string, tail: readonly string[]): MillraceError {
  const log = tail.map((line) => `\n  ${line}`).join("");
  return new MillraceError("CHILD_FAILED", `the ${name} died ${ATTEMPTS_MAX} times in a row (${how}); the end of its log:${log}`);
}
