import { parseTriggerFilter } from "../core/trigger-topic.ts";
import { RouteTable } from "./route.ts";

/** What the journal knows of functions that were at work, by name. */
type Records = ReadonlyMap<string, { readonly filters?: readonly string[] }>;

/**
 * Functions that were at work before and are not there, because their bundle is damaged, does not load, or is still being restored. What was
 * promised to those who publish to them holds all the same: their messages are journaled and wait.
 */
export class Resting {
  readonly #records: () => Records;
  #routes: RouteTable<string> | undefined;

  constructor(records: () => Records) {
    this.#records = records;
    this.update(() => false);
  }

  /** To be called when others are at work. */
  update(atWork: (name: string) => boolean): void {
    const triggers = [...this.#records()].flatMap(([owner, { filters = [] }]) =>
      atWork(owner)
        ? []
        : filters.map((filter, index) => ({ owner, index, filter: parseTriggerFilter(filter), key: undefined, durable: true })),
    );
    this.#routes = triggers.length === 0 ? undefined : new RouteTable(triggers);
  }

  /** Whether one of them listens to what functions emit or store. */
  listens(kind: "event" | "state"): boolean {
    return this.#routes?.listens(kind) === true;
  }

  /** Whether one of them waits for messages with this topic. */
  wants(topic: string): boolean {
    return this.#routes?.wakes(topic) === "durable";
  }
}
