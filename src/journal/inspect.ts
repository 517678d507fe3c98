import { Cursor } from "../core/cursor.ts";
import { messageOf } from "../core/errors.ts";
import { decodeBlock } from "./block.ts";
import type { Database } from "./database.ts";
import { examine } from "./examine.ts";
import { CLEAN, nameOf, numberOf, prefixRange } from "./keys.ts";
import type { FunctionRecord } from "./opening.ts";

/** What one function has in the journal. */
export interface InspectedFunction {
  readonly name: string;
  /** Missing when only state or dead letters of it are left. */
  readonly version?: number;
  /** Every message below is done with. */
  readonly floor?: number;
  /** Messages from there on that are not done with, whether they concern the function or not. */
  readonly backlog: number;
  /** Keys that wait behind a failure; their messages below the ones that are handled now are not in the backlog. */
  readonly keysAside: number;
  readonly stateValues: number;
  readonly stateBytes: number;
  readonly deadLetters: number;
}

/** What a journal holds. Times are milliseconds since the epoch, bytes are of keys and values before LevelDB compresses them. */
export interface Inspection {
  readonly closed: boolean;
  readonly messages: {
    readonly count: number;
    readonly first?: number;
    readonly last?: number;
    readonly from?: number;
    readonly to?: number;
  };
  /** By what the bytes are for. */
  readonly bytes: Readonly<Record<string, number>>;
  readonly events: number;
  readonly publishes: number;
  readonly qos2: number;
  readonly functions: readonly InspectedFunction[];
  /** What the next start will find wrong, and what is worse. */
  readonly problems: readonly string[];
}

const KINDS: Readonly<Record<string, string>> = {
  j: "messages",
  i: "index",
  c: "cursors",
  f: "functions",
  s: "state",
  e: "expiry of state",
  o: "outbox",
  x: "expiry of events",
  p: "publishes",
  d: "dead letters",
  q: "qos2",
  m: "marks",
};

type Changing<T> = { -readonly [K in keyof T]: T[K] };

/** Reads all of it. */
export async function inspect(database: Database): Promise<Inspection> {
  const inspector = new Inspector();
  await inspector.know(database);
  for await (const [key, value] of database.iterator({})) inspector.take(key, value);
  const { problems } = await examine(database, true);
  const closed = (await database.get(CLEAN)) !== undefined;
  return inspector.result(closed, problems);
}

class Inspector {
  readonly #bytes: Record<string, number> = {};
  readonly #counts: Record<string, number> = {};
  readonly #functions = new Map<string, Changing<InspectedFunction>>();
  readonly #cursors = new Map<string, Cursor>();
  readonly #messages: Changing<Inspection["messages"]> = { count: 0 };
  readonly #problems: string[] = [];

  /** The cursors, which have to be known before the messages are counted. */
  async know(database: Database): Promise<void> {
    for await (const [key, value] of database.iterator(prefixRange("f"))) {
      this.#of(nameOf(key)).version = (JSON.parse(value.toString()) as FunctionRecord).version;
    }
    for await (const [key, value] of database.iterator(prefixRange("c"))) {
      const cursor = Cursor.decode(value);
      this.#cursors.set(nameOf(key), cursor);
      const known = this.#of(nameOf(key));
      known.floor = cursor.floor;
      known.keysAside = cursor.aside.keys.size;
    }
  }

  take(key: Buffer, value: Buffer): void {
    const mark = String.fromCharCode(key[0] ?? 0);
    const kind = KINDS[mark] ?? `unknown "${mark}"`;
    this.#bytes[kind] = (this.#bytes[kind] ?? 0) + key.length + value.length;
    this.#counts[kind] = (this.#counts[kind] ?? 0) + 1;
    if (mark === "j") this.#block(numberOf(key), value);
    if (mark !== "s" && mark !== "d") return;
    const owner = this.#of(key.toString("utf8", 1, key.indexOf(0)));
    if (mark === "d") owner.deadLetters++;
    else {
      owner.stateValues++;
      owner.stateBytes += key.length + value.length;
    }
  }

  #block(first: number, value: Buffer): void {
    try {
      for (const { seq, time } of decodeBlock(first, value)) this.#message(seq, time);
    } catch (error) {
      this.#problems.push(`the block of seq ${first} is unreadable: ${messageOf(error)}`);
    }
  }

  #message(seq: number, time: number): void {
    const messages = this.#messages;
    messages.count++;
    messages.first ??= seq;
    messages.last = seq;
    messages.from = Math.min(messages.from ?? time, time);
    messages.to = Math.max(messages.to ?? time, time);
    for (const [name, cursor] of this.#cursors) if (!cursor.isDone(seq)) this.#of(name).backlog++;
  }

  #of(name: string): Changing<InspectedFunction> {
    let known = this.#functions.get(name);
    if (known === undefined) {
      known = { name, backlog: 0, keysAside: 0, stateValues: 0, stateBytes: 0, deadLetters: 0 };
      this.#functions.set(name, known);
    }
    return known;
  }

  result(closed: boolean, problems: readonly string[]): Inspection {
    const count = (kind: string): number => this.#counts[kind] ?? 0;
    const unknown = Object.keys(this.#counts).filter((kind) => kind.startsWith("unknown"));
    return {
      closed,
      messages: this.#messages,
      bytes: this.#bytes,
      events: count("outbox"),
      publishes: count("publishes"),
      qos2: count("qos2"),
      functions: [...this.#functions.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1)),
      problems: [
        ...this.#problems,
        ...problems,
        ...unknown.map((kind) => `${count(kind)} keys of a kind that this version does not know: ${kind}`),
      ],
    };
  }
}
