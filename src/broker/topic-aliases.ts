/** Topics that one client may have an alias for, whatever it allows: each costs memory here. */
const ALIASES_MAX = 1_000;

export interface Aliased {
  /** Empty when the client knows it by the alias. */
  readonly topic: string;
  /** 0 without one. */
  readonly alias: number;
}

/**
 * Topic aliases of the broker towards one client (MQTT 5, 3.3.2.3.4): the first topics get one each, as many as the client allows, and keep it while
 * the connection lasts. No alias is above the client's Topic Alias Maximum [MQTT-3.3.2-9], and there are none without it.
 */
export class TopicAliases {
  #max = 0;
  #known: Map<string, number> | undefined;

  /** @param max Topic Alias Maximum of the client. */
  allow(max: number): void {
    this.#max = Math.min(max, ALIASES_MAX);
  }

  get areAllowed(): boolean {
    return this.#max > 0;
  }

  /** What to send for the topic. A new alias needs `mayGrow`: the packet gets 3 bytes longer by it. */
  of(topic: string, mayGrow: () => boolean): Aliased {
    const all = (this.#known ??= new Map());
    const known = all.get(topic);
    if (known !== undefined) return { topic: "", alias: known };
    if (all.size >= this.#max || !mayGrow()) return { topic, alias: 0 };
    const alias = all.size + 1;
    all.set(topic, alias);
    return { topic, alias };
  }
}
