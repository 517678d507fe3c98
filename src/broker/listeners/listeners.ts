import type { Logger } from "../../core/log.ts";
import type { ListenerStats } from "../../core/listener-stats.ts";
import { type Accept, Listener, type ListenerLimits } from "./listener.ts";
import type { ListenerRules } from "./rules.ts";

/** Everywhere that clients of a broker arrive. The broker is named by the first. */
export class Listeners {
  readonly #first: Listener;
  readonly #all: readonly Listener[];

  constructor(
    [first, ...others]: readonly [ListenerRules, ...ListenerRules[]],
    to: { limits: ListenerLimits; accept: Accept; logger: Logger },
  ) {
    this.#first = new Listener(first, to);
    this.#all = [this.#first, ...others.map((rules) => new Listener(rules, to))];
  }

  /**
   * Lets nobody in before the certificates of all are known to be good.
   *
   * @throws MillraceError FILE_UNREADABLE, CERTIFICATE_INVALID, PORT_IN_USE, LISTEN_FAILED
   */
  async listen(): Promise<void> {
    for (const listener of this.#all) await listener.prepare();
    for (const listener of this.#all) await listener.listen();
  }

  get address(): string {
    return this.#first.address;
  }

  get stats(): ListenerStats[] {
    return this.#all.map(({ stats }) => stats);
  }

  /** Looks at the certificates of all. */
  reload(): void {
    for (const listener of this.#all) listener.reload();
  }

  /** Takes nothing more. Resolves when the last connection has ended. */
  async close(): Promise<void> {
    await Promise.all(this.#all.map((listener) => listener.close()));
  }

  /** Ends what is still connected. */
  cut(): void {
    for (const listener of this.#all) listener.cut();
  }
}
