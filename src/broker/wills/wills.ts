import type { Client } from "aedes";
import { bearerOf } from "../access/bearer.ts";
import { type Clock, systemClock } from "../../core/clock.ts";
import { messageOf } from "../../core/errors.ts";
import type { Logger } from "../../core/log.ts";
import { runAt } from "../../core/run-at.ts";
import type { StoredWill, WillMessage } from "./stored-will.ts";

/** Where wills are kept, so that they survive the process. Writes take effect in their order. */
export interface WillShelf {
  store(will: StoredWill): Promise<void>;
  delete(will: StoredWill): Promise<void>;
  /** Resolves when what was stored so far is as safe as a message that is acknowledged. */
  secure(): Promise<void>;
  all(): AsyncIterable<StoredWill>;
}

/** What becomes of a will that is due. */
export interface WillOutlet {
  /** Resolves when it is published, or is one that may not be; rejects when it could be neither. */
  publish(will: StoredWill): Promise<void>;
  /** Whether the broker closes, and takes nothing more. */
  readonly isClosed: boolean;
}

/** A will as the protocol engine has it from a CONNECT. */
export interface Will {
  readonly topic: string;
  readonly payload: Buffer | string;
  readonly qos?: 0 | 1 | 2;
  readonly retain?: boolean;
  readonly properties?: { readonly willDelayInterval?: number } & Readonly<Record<string, unknown>>;
}

interface Entry {
  will: StoredWill;
  /** `held` while its client is connected, `waiting` for its delay, `due` until it can be published. */
  state: "held" | "waiting" | "due" | "leaving" | "gone";
  readonly client?: Client;
  timer?: Disposable;
  leaving?: Promise<void>;
}

/** After a start, so many at once. */
const PUBLISHED_AT_ONCE = 64;
/** How long a client is kept waiting for its own will from before to be published. */
const SETTLE_MS_MAX = 5_000;

/**
 * Wills from the CONNECT that brings them until they are published or dropped (MQTT 3.1.1, 3.1.2.5; MQTT 5, 3.1.2.5). Each is on disk all that time with who
 * it is from, so that one whose client was connected when the process was killed is published after the next start, by the same rules as any other. It may be
 * published twice when the process is killed meanwhile. One whose client is cut off because the broker closes is published after the next start too, as
 * the standard allows.
 */
export class Wills {
  readonly #shelf: WillShelf;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #entries = new Map<string, Set<Entry>>();
  readonly #byWill = new WeakMap<object, Entry>();
  readonly #end = new AbortController();
  #outlet: WillOutlet | undefined;
  #number = 0;

  constructor(shelf: WillShelf, logger: Logger, clock: Clock = systemClock) {
    this.#shelf = shelf;
    this.#logger = logger;
    this.#clock = clock;
  }

  /** Reads what was left at the last end. Nothing is published before `begin`. */
  async load(): Promise<void> {
    for await (const will of this.#shelf.all()) {
      this.#number = Math.max(this.#number, will.number);
      this.#add({ will, state: "waiting" });
    }
  }

  /** To be called when what is published reaches everybody that it is for, and before clients come. */
  begin(outlet: WillOutlet): void {
    this.#outlet = outlet;
    const now = this.#clock.now();
    const left = [...this.#all()].filter(({ state }) => state === "waiting" || state === "due");
    for (const entry of left) {
      // After a crash the connection counts as lost at the start.
      const { since = now, delaySeconds } = entry.will;
      if (entry.state === "waiting" && since + delaySeconds * 1_000 > now) this.#wait(entry, { ...entry.will, since });
      else entry.state = "due";
    }
    void this.#publishDue(left.filter(({ state }) => state === "due").toSorted((a, b) => a.will.number - b.will.number));
  }

  /** What waits stays on disk. */
  close(): void {
    this.#end.abort();
    for (const { timer } of this.#all()) timer?.[Symbol.dispose]();
  }

  /** The client has come with this will. Resolves when it is safe. */
  async hold(client: Client, will: Will): Promise<void> {
    const bearer = bearerOf(client);
    // One that has gone meanwhile was let in, and never had a connection that could be lost.
    if (client.closed || bearer === undefined) return;
    this.#number++;
    const stored = { number: this.#number, delaySeconds: delayOf(client, will), since: undefined, bearer, message: messageOfWill(will) };
    const entry: Entry = { will: stored, state: "held", client };
    this.#byWill.set(will, entry);
    this.#add(entry);
    await this.#shelf.store(stored);
    await this.#shelf.secure();
  }

  /** Forgets the wills of clients with this id that have said good-bye [MQTT-3.1.2-10]. */
  left(id: string): void {
    for (const entry of this.#of(id)) {
      const { client, state } = entry;
      if (state === "held" && client?.closed === true && Reflect.get(client, "_disconnected") === true) this.#drop(entry);
    }
  }

  /** The connection is lost, and the will due after so many seconds. */
  lost(will: object, seconds: number): void {
    const entry = this.#byWill.get(will);
    if (entry?.state !== "held") return;
    if (seconds > 0) this.#wait(entry, { ...entry.will, delaySeconds: seconds, since: this.#clock.now() });
    else void this.#publish(entry);
  }

  /** The session goes on with another connection before the will is due [MQTT-3.1.3-9]. */
  superseded(will: object): void {
    const entry = this.#byWill.get(will);
    if (entry?.state === "held") this.#drop(entry);
  }

  /** The client is back: a will that waits is not published any more [MQTT-3.1.3-9]. */
  resumed(id: string): void {
    for (const entry of this.#of(id)) if (entry.state === "waiting") this.#drop(entry);
  }

  /** The session has ended, and with it the delay (MQTT 5, 3.1.3.2.2). */
  sessionEnded(id: string): void {
    for (const entry of this.#of(id)) if (entry.state === "waiting") void this.#publish(entry);
  }

  /** Resolves when those of a client that are due are published: what it does next must not overtake them. At most 5 s are waited for that. */
  async settled(id: string): Promise<void> {
    const leaving = this.#of(id).flatMap((entry) => {
      if (entry.state === "due") void this.#publish(entry);
      return entry.leaving ?? [];
    });
    if (leaving.length === 0) return;
    const done = new AbortController();
    const late = this.#clock.sleep(SETTLE_MS_MAX, AbortSignal.any([done.signal, this.#end.signal]));
    await Promise.race([Promise.all(leaving), late]).catch(() => undefined); // Aborted.
    done.abort();
    late.catch(() => undefined);
  }

  #wait(entry: Entry, will: StoredWill): void {
    entry.state = "waiting";
    this.#shelf.store(will).catch(() => undefined); // The database tells of a disk that refuses a write.
    entry.will = will;
    if (this.#outlet?.isClosed === true) return;
    entry.timer = runAt(this.#clock, (will.since ?? 0) + will.delaySeconds * 1_000, () => void this.#publish(entry));
  }

  async #publishDue(due: readonly Entry[]): Promise<void> {
    for (let at = 0; at < due.length && !this.#end.signal.aborted; at += PUBLISHED_AT_ONCE) {
      await Promise.all(due.slice(at, at + PUBLISHED_AT_ONCE).map((entry) => this.#publish(entry)));
    }
  }

  /** Never rejects: what could not be published stays, and is due at the next start. */
  async #publish(entry: Entry): Promise<void> {
    const outlet = this.#outlet;
    // One of a client that is back may be on its way already.
    if (entry.state === "leaving" || entry.state === "gone") return entry.leaving;
    entry.timer?.[Symbol.dispose]();
    entry.state = "due";
    if (outlet === undefined || outlet.isClosed) return;
    entry.state = "leaving";
    entry.leaving = outlet.publish(entry.will).then(
      () => this.#drop(entry),
      (error: unknown) => {
        this.#remove(entry);
        const about = { client: entry.will.bearer.client, error: messageOf(error) };
        if (!outlet.isClosed) this.#logger.error(about, "a will could not be published; it is tried again after the next start");
      },
    );
    await entry.leaving;
  }

  #drop(entry: Entry): void {
    this.#remove(entry);
    this.#shelf.delete(entry.will).catch(() => undefined); // The database tells of a disk that refuses a write.
  }

  #remove(entry: Entry): void {
    entry.timer?.[Symbol.dispose]();
    entry.state = "gone";
    const { client } = entry.will.bearer;
    const entries = this.#entries.get(client);
    if (entries?.delete(entry) === true && entries.size === 0) this.#entries.delete(client);
  }

  #add(entry: Entry): void {
    const { client } = entry.will.bearer;
    const entries = this.#entries.get(client) ?? new Set();
    this.#entries.set(client, entries.add(entry));
  }

  #of(id: string): readonly Entry[] {
    return [...(this.#entries.get(id) ?? [])];
  }

  *#all(): Generator<Entry> {
    for (const entries of this.#entries.values()) yield* entries;
  }
}

/** Not longer than the session lives after the connection (MQTT 5, 3.1.3.2.2). */
function delayOf(client: Client, { properties }: Will): number {
  const session: number = Reflect.get(client, "sessionExpiryInterval");
  return client.version === 5 ? Math.min(properties?.willDelayInterval ?? 0, session) : 0;
}

function messageOfWill({ topic, payload, qos = 0, retain = false, properties }: Will): WillMessage {
  return { topic, payload: typeof payload === "string" ? Buffer.from(payload) : payload, qos, retain, properties };
}
