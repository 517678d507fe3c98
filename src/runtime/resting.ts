import { parseTriggerFilter } from "../core/trigger-topic.ts";
import { RouteTable } from "./route.ts";

type Names = Pick<ReadonlySet<string>, "has">;

/** What the journal knows of functions that were at work, by name. */
type Records = ReadonlyMap<string, { readonly filters?: readonly string[] }>;

/**
 * Functions that were at work before and are not there, because their bundle is damaged, does not load, or is still being restored. What was
 * promised to those who publish to them holds all the same: their messages are journaled and wait.
 */
export class Resting {
  readonly #records: () => Records;
  readonly #atWork: Names;
  /** Null when there are none; undefined after a change, until it is needed. */
  #table: RouteTable<string> | null | undefined;

  constructor(records: () => Records, atWork: Names) {
    this.#records = records;
    this.#atWork = atWork;
  }

  /** To be called when others are at work. */
  update(): void {
    this.#table = undefined;
  }

  get #routes(): RouteTable<string> | null {
    if (this.#table !== undefined) return this.#table;
    const triggers = [...this.#records()]
      .filter(([owner]) => !this.#atWork.has(owner))
      .flatMap(([owner, { filters = [] }]) =>
        filters.map((filter, index) => ({ owner, index, filter: parseTriggerFilter(filter), key: undefined, durable: true })),
      );
    this.#table = triggers.length === 0 ? null : new RouteTable(triggers);
    return this.#table;
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
