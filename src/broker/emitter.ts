import { TopicTrie } from "../core/topic.ts";
import { TopicMemory } from "../core/topic-memory.ts";
import type { StoredPacket } from "./copies.ts";
import { isSharedKey } from "./filters.ts";
import type { Listener } from "./shared/group.ts";
import type { Choice, SharedGroups } from "./shared/groups.ts";

interface Packet {
  readonly topic: string;
}

/** A packet on its way to everybody whose subscriptions match. */
export interface Emission {
  readonly packet: Packet;
  /** Of a packet on its way to one member of a group: the group's key. */
  readonly shared: string | undefined;
}

type Done = (error?: Error) => void;

/** What is called, and what for. */
interface Call {
  readonly listener: Listener;
  readonly emission: Emission;
}

function nothing(): void {}

/**
 * Hands packets to the subscriptions that match, in the shape that the protocol engine asks of its `mq` option. It remembers which listeners
 * a topic has: sensors publish to the same topics over and over, and matching was a tenth of the work of a message.
 */
export class TopicEmitter {
  readonly #listeners = new TopicTrie<Listener>();
  readonly #known = new TopicMemory<readonly Listener[]>();
  /** What the listener that is being called is called for: the same for all of them. */
  emission: Emission | undefined;
  /** Grows with every change of the subscriptions. */
  changes = 0;
  readonly #shared: SharedGroups;

  constructor(shared: SharedGroups) {
    this.#shared = shared;
  }

  on(filter: string, listener: Listener, done?: () => void): this {
    if (isSharedKey(filter)) this.#shared.listen(filter, listener);
    else this.#listeners.add({ levels: filter.split("/") }, listener);
    this.#known.clear();
    this.changes++;
    if (done !== undefined) setImmediate(done);
    return this;
  }

  removeListener(filter: string, listener: Listener, done?: () => void): this {
    if (isSharedKey(filter)) this.#shared.leave(filter, listener);
    else this.#listeners.remove({ levels: filter.split("/") }, listener);
    this.#known.clear();
    this.changes++;
    if (done !== undefined) setImmediate(done);
    return this;
  }

  /** Whether anybody connected wants messages with this topic. */
  wants(topic: string): boolean {
    return this.#match(topic).length > 0 || this.#shared.wants(topic);
  }

  /** `done` is called when every listener is done with the packet. */
  emit(packet: Packet, done: Done = nothing): this {
    const listeners = this.#match(packet.topic);
    const emission = { packet, shared: undefined };
    const shared = this.#shared.size === 0 ? undefined : this.#callsFor(packet as StoredPacket);
    const [only] = listeners;
    if (shared !== undefined && shared.length > 0) {
      call([...listeners.map((listener) => ({ listener, emission })), ...shared], this, done);
    } else if (only === undefined) {
      done();
    } else if (listeners.length === 1) {
      this.emission = emission;
      only(packet, done);
    } else {
      let left = listeners.length;
      for (const listener of listeners) {
        this.emission = emission;
        listener(packet, () => {
          if (--left === 0) done();
        });
      }
    }
    return this;
  }

  /** Hands a message to the member that was chosen for it, if it is connected. Resolves when the next one may come. */
  hand(choice: Choice): Promise<void> {
    const listener = this.#shared.listenerOf(choice);
    if (listener === undefined) return Promise.resolve();
    return new Promise((resolve) => call([{ listener, emission: { packet: choice.packet, shared: choice.key } }], this, () => resolve()));
  }

  #callsFor(packet: StoredPacket): readonly Call[] {
    return this.#shared.choices(packet).flatMap((choice) => {
      const listener = this.#shared.listenerOf(choice);
      if (listener !== undefined) return [{ listener, emission: { packet: choice.packet, shared: choice.key } }];
      // It has gone while copies were being made; a session that has one gets it when its client is back.
      if (!choice.isKept) void this.#shared.redeliver(choice.packet);
      return [];
    });
  }

  close(done: () => void): void {
    setImmediate(done);
  }

  #match(topic: string): readonly Listener[] {
    const known = this.#known.get(topic);
    if (known !== undefined) return known;
    const found = [...this.#listeners.match(topic)];
    this.#known.set(topic, found);
    return found;
  }
}

function call(calls: readonly Call[], emitter: { emission: Emission | undefined }, done: Done): void {
  let left = calls.length;
  for (const { listener, emission } of calls) {
    emitter.emission = emission;
    listener(emission.packet, () => {
      if (--left === 0) done();
    });
  }
}
