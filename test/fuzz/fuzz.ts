import { until } from "../hostile/site.ts";
import { attack, type Outcome } from "./attack.ts";
import { FuzzedGateway } from "./gateway.ts";
import { type Plan, planOf } from "./plan.ts";
import { digest, Witness } from "./witness.ts";

/** Connections at once. */
const AT_ONCE = 100;
const PROBLEMS_MAX = 20;
/** What has not come by then will not come. */
const ARRIVAL_MS_MAX = 60_000;
/** Two clients: the witness, and who hears everything. */
const OWN_CONNECTIONS = 2;
const SAMPLE_MS = 100;
/**
 * Bytes of memory of the gateway's process. Some 130 MB at rest, 32 MB that clients may have under way, what is incomplete of them (a hundred packets of a
 * megabyte at most), and what V8 leaves lying about.
 */
const RSS_MAX = 700 * 1024 ** 2;

export interface FuzzOptions {
  readonly seed: number;
  /** Ends with whichever comes first. */
  readonly seconds: number;
  readonly connections?: number;
  /** The plan with this index alone. */
  readonly only?: number;
  readonly say: (line: string) => void;
}

export interface FuzzReport {
  readonly seed: number;
  readonly connections: number;
  readonly seconds: number;
  /** Connections by what came of them. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** Packets that were wrong, by what was wrong. */
  readonly wrong: Readonly<Record<string, number>>;
  /** Messages of fuzzed connections that were acknowledged, and had to arrive. */
  readonly acknowledged: number;
  readonly witness: { readonly acknowledged: number; readonly received: number; readonly ackMsMax: number };
  readonly rssMax: number;
  readonly problems: readonly string[];
}

/** Sends damaged packets to a gateway from many connections, and says what it did not stand. */
export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  await using gateway = await FuzzedGateway.start();
  const run = new Run(options, gateway);
  return await run.go(); // The gateway is needed until then.
}

class Run {
  readonly #options: FuzzOptions;
  readonly #gateway: FuzzedGateway;
  readonly #problems: string[] = [];
  readonly #outcomes = new Map<string, number>();
  readonly #wrong = new Map<string, number>();
  /** Messages that have to arrive, with who has sent them. */
  readonly #acknowledged = new Map<string, { readonly topic: string; readonly index: number }>();
  #connections = 0;
  #rssMax = 0;

  constructor(options: FuzzOptions, gateway: FuzzedGateway) {
    this.#options = options;
    this.#gateway = gateway;
  }

  async go(): Promise<FuzzReport> {
    const startedAt = performance.now();
    const sampling = setInterval(() => (this.#rssMax = Math.max(this.#rssMax, this.#gateway.rss)), SAMPLE_MS);
    await using own = new AsyncDisposableStack();
    own.defer(() => clearInterval(sampling));
    const witness = own.use(await Witness.start(this.#gateway.addresses.tcp));
    await this.#attackAll(startedAt);
    const seconds = (performance.now() - startedAt) / 1_000;
    await this.#settled(witness);
    if (this.#rssMax > RSS_MAX) this.#complain(`the gateway took ${Math.round(this.#rssMax / 1024 ** 2)} MB`);
    await own.disposeAsync();
    if (!this.#gateway.hasEnded) await this.#afterRestart();
    const { acknowledged, received, ackMsMax } = witness;
    return {
      seed: this.#options.seed,
      connections: this.#connections,
      seconds,
      outcomes: sorted(this.#outcomes),
      wrong: sorted(this.#wrong),
      acknowledged: this.#acknowledged.size,
      witness: { acknowledged, received, ackMsMax },
      rssMax: this.#rssMax,
      problems: this.#problems,
    };
  }

  async #attackAll(startedAt: number): Promise<void> {
    const { seed, seconds, connections = Infinity, only, say } = this.#options;
    let next = only ?? 0;
    const end = only === undefined ? connections : only + 1;
    const goesOn = (): boolean => next < end && performance.now() - startedAt < seconds * 1_000 && !this.#gateway.hasEnded;
    const worker = async (): Promise<void> => {
      while (goesOn()) {
        const index = next++;
        await this.#attack(planOf(seed, index));
        if (this.#connections % 1_000 === 0) say(`${this.#connections} connections, ${this.#problems.length} problems`);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  }

  async #attack(plan: Plan): Promise<void> {
    this.#connections++;
    count(this.#outcomes, `start: ${plan.start}`);
    for (const [kind, times] of plan.wrong) count(this.#wrong, kind, times);
    try {
      this.#take(await attack(plan, this.#gateway.addresses));
    } catch (error) {
      if (!this.#gateway.hasEnded) this.#complain(`connection ${plan.index}: it was not let in: ${String(error)}`);
    }
  }

  #take({ plan, how, problem, acknowledged }: Outcome): void {
    count(this.#outcomes, how);
    if (problem !== undefined) this.#complain(`connection ${plan.index} (${plan.transport}, ${plan.start}): ${problem}`);
    for (const { topic, payload } of acknowledged) this.#acknowledged.set(digest(topic, payload), { topic, index: plan.index });
  }

  /** Everything has arrived, everybody is gone, and nothing of them is left. */
  async #settled(witness: Witness): Promise<void> {
    witness.rest();
    if (this.#gateway.hasEnded) {
      this.#complain(`the gateway has ended: ${this.#gateway.complaints.join(" ").slice(0, 2_000)}`);
      return;
    }
    await this.#happens(() => witness.isServed, "the witness is served");
    this.#problems.push(...witness.problems);
    const missing = (): string[] => [...this.#acknowledged.keys()].filter((key) => !witness.heard.has(key));
    await this.#happens(() => missing().length === 0, "what was acknowledged arrives");
    for (const key of missing().slice(0, 5)) this.#complain(`acknowledged and lost: ${this.#nameOf(key)}`);
    const left = async (): Promise<string> => {
      const { broker } = await this.#gateway.stats();
      const connections = broker.listeners.reduce((sum, listener) => sum + listener.connections, 0);
      const handshakes = broker.listeners.reduce((sum, listener) => sum + listener.handshakes, 0);
      const idle = connections === OWN_CONNECTIONS && broker.clients === OWN_CONNECTIONS && handshakes === 0 && broker.inflightBytes === 0;
      return idle ? "" : `${connections} connections, ${broker.clients} clients, ${handshakes} handshakes, ${broker.inflightBytes} bytes`;
    };
    let said = "";
    await this.#happens(async () => (said = await left()) === "", "everybody is gone");
    if (said !== "") this.#complain(`the broker still has ${said}, of which ${OWN_CONNECTIONS} connections are there`);
    for (const line of this.#gateway.complaints) this.#complain(`in the log: ${line.slice(0, 1_000)}`);
  }

  /** What was stored can be read again, and is there for who was away. */
  async #afterRestart(): Promise<void> {
    for (const problem of await this.#gateway.restart()) this.#complain(`at the end: ${problem.slice(0, 1_000)}`);
    const back = await Witness.back(this.#gateway.addresses.tcp);
    const missing = (): string[] =>
      [...this.#acknowledged].filter(([key, { topic }]) => topic.startsWith("fuzz/kept/") && !back.heard.has(key)).map(([key]) => key);
    await this.#happens(() => missing().length === 0, "what was kept arrives");
    for (const key of missing().slice(0, 5)) this.#complain(`acknowledged, and not kept for who was away: ${this.#nameOf(key)}`);
    await back.end();
  }

  #nameOf(key: string): string {
    const { topic = "", index = -1 } = this.#acknowledged.get(key) ?? {};
    return `"${topic.slice(0, 80)}" of connection ${index}`;
  }

  async #happens(check: () => boolean | Promise<boolean>, what: string): Promise<void> {
    const ask = async (): Promise<true | undefined> => ((await check()) || this.#gateway.hasEnded ? true : undefined);
    await until(ask, what, ARRIVAL_MS_MAX).catch((error: unknown) => this.#complain(String(error)));
  }

  #complain(what: string): void {
    if (this.#problems.length < PROBLEMS_MAX && !this.#problems.includes(what)) this.#problems.push(what);
    this.#options.say(`PROBLEM: ${what}`);
  }
}

function count(counts: Map<string, number>, key: string, times = 1): void {
  counts.set(key, (counts.get(key) ?? 0) + times);
}

function sorted(counts: ReadonlyMap<string, number>): Record<string, number> {
  return Object.fromEntries([...counts].toSorted(([one], [other]) => one.localeCompare(other)));
}
