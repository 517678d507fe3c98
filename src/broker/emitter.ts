import { TopicTrie } from "../core/topic.ts";

interface Packet {
  readonly topic: string;
}

/** A packet on its way to everybody whose subscriptions match. */
export interface Emission {
  readonly packet: Packet;
}

type Done = (error?: Error) => void;
type Listener = (packet: Packet, done: Done) => void;

const CACHE_TOPICS_MAX = 10_000;

/**
 * Hands packets to the subscriptions that match, in the shape that the protocol engine asks of its `mq` option. It remembers which listeners
 * a topic has: sensors publish to the same topics over and over, and matching was a tenth of the work of a message.
 */
export class TopicEmitter {
  readonly #listeners = new TopicTrie<Listener>();
  readonly #known = new Map<string, readonly Listener[]>();
  /** What the listener that is being called is called for: the same for all of them. */
  emission: Emission | undefined;
  /** Grows with every change of the subscriptions. */
  changes = 0;

  on(filter: string, listener: Listener, done?: () => void): this {
    this.#listeners.add({ levels: filter.split("/") }, listener);
    this.#known.clear();
    this.changes++;
    if (done !== undefined) setImmediate(done);
    return this;
  }

  removeListener(filter: string, listener: Listener, done?: () => void): this {
    this.#listeners.remove({ levels: filter.split("/") }, listener);
    this.#known.clear();
    this.changes++;
    if (done !== undefined) setImmediate(done);
    return this;
  }

  /** Whether anybody connected wants messages with this topic. */
  wants(topic: string): boolean {
    return this.#match(topic).length > 0;
  }

  /** `done` is called when every listener is done with the packet. */
  emit(packet: Packet, done: Done = () => undefined): this {
    const listeners = this.#match(packet.topic);
    const [only] = listeners;
    const emission = { packet };
    this.emission = emission;
    if (only === undefined) {
      done();
    } else if (listeners.length === 1) {
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

  close(done: () => void): void {
    setImmediate(done);
  }

  #match(topic: string): readonly Listener[] {
    const known = this.#known.get(topic);
    if (known !== undefined) return known;
    const found = [...this.#listeners.match(topic)];
    if (this.#known.size >= CACHE_TOPICS_MAX) this.#known.clear();
    this.#known.set(topic, found);
    return found;
  }
}
