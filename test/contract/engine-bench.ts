import { encodeMessage, type Message } from "../../src/core/message.ts";
import { VERSION_NAME } from "../../src/core/state-value.ts";
import { decodeResults, type ItemEffects, type ItemResult } from "../../src/runtime/effects.ts";
import type { Engine, Instance, RunOutcome } from "../../src/runtime/host/engine.ts";
import { type GiveUp, itemHead } from "../../src/runtime/item.ts";
import { shownValue } from "../../src/runtime/shown-value.ts";
import { FunctionVersion, loadSpec } from "../../src/runtime/version.ts";
import { WAYS } from "../support/engine.ts";
import { type FunctionPlan, functionOf } from "../support/functions.ts";

/** One message as a test writes it. */
export interface Sent extends Partial<Message> {
  readonly topic: string;
  /** The topic unless given. */
  readonly key?: string;
  readonly attempt?: number;
  readonly trigger?: number;
  readonly resume?: boolean;
  readonly giveUp?: GiveUp;
}

type Stored = Readonly<Record<string, readonly (readonly [string, string])[]>>;

/** What an isolate has asked the gateway for. */
export interface Called {
  readonly what: number;
  readonly head: unknown;
  readonly body: Buffer;
}

/** Undefined when there is no answer. */
type Answer = (call: Called) => { readonly head: object; readonly body?: Buffer } | undefined;

const LIMITS = { timeoutMs: 10_000, wallMs: 10_000 };

/** A result in as few words as possible. */
export interface Brief {
  readonly status: ItemResult["status"];
  readonly code?: string;
  readonly logs?: readonly string[];
  readonly state?: Readonly<Record<string, unknown>>;
  readonly events?: readonly unknown[];
  readonly publishes?: number;
}

/** An instance of an engine, the messages that go in, and the state that it asks for. */
export class EngineBench implements Disposable {
  readonly instance: Instance;
  /** The keys of each request for state. */
  readonly asked: string[][];
  /** What was asked of the gateway, and what was called off: its number. */
  readonly called: (Called | number)[];
  #seq = 1;

  private constructor(instance: Instance, { asked, called }: Pick<EngineBench, "asked" | "called">) {
    this.instance = instance;
    this.called = called;
    this.asked = asked;
  }

  /** It listens to `in/+k` and `other/#`. Requests for state are answered from `stored`, what is asked of the gateway by `answer`. */
  static async create(
    engine: Engine,
    plan: FunctionPlan & { readonly code?: string; readonly answer?: Answer },
    stored: Stored = {},
  ): Promise<EngineBench> {
    const { bundle, target } = functionOf({ triggers: ["in/+k", "other/#"], ...plan });
    const { filters } = new FunctionVersion(target, bundle);
    const spec = loadSpec({ ...bundle, code: plan.code ?? bundle.code }, filters, { version: target.version, gateway: "g" });
    const asked: string[][] = [];
    const called: (Called | number)[] = [];
    const made: { instance?: Instance } = {};
    made.instance = await engine.create(spec, {
      loadState: (request, keys) => {
        const names = JSON.parse(keys) as string[];
        asked.push(names);
        const entries = Object.fromEntries(names.map((name) => [name, stored[name] ?? []]));
        setImmediate(() => made.instance?.stateLoaded(request, JSON.stringify(entries)));
      },
      call: (request, what, head, body) => {
        const call = { what, head: JSON.parse(head) as unknown, body: Buffer.from(body, "latin1") };
        called.push(call);
        setImmediate(() => {
          const answered = plan.answer?.(call);
          if (answered !== undefined) {
            made.instance?.answered(request, JSON.stringify(answered.head), (answered.body ?? Buffer.alloc(0)).toString("latin1"));
          }
        });
      },
      callOff: (request) => void called.push(request),
      made: (instance) => void (made.instance = instance),
      stuck: WAYS.stuck,
    });
    return new EngineBench(made.instance, { asked, called });
  }

  /** What `run` of the instance answers to a batch of these messages. */
  outcome(messages: readonly Sent[], limits = LIMITS): Promise<RunOutcome> {
    return this.instance.run(Buffer.concat(messages.flatMap((message) => this.#item(message))).toString("latin1"), limits);
  }

  /** @throws Error when the batch was cut */
  async results(...messages: readonly Sent[]): Promise<ItemResult[]> {
    const outcome = await this.outcome(messages);
    if (!outcome.done) throw new Error(`cut: ${outcome.fault.code} ${outcome.fault.message}`);
    return resultsOf(outcome);
  }

  async run(...messages: readonly Sent[]): Promise<Brief[]> {
    return (await this.results(...messages)).map(brief);
  }

  /** What the only message does. @throws Error when it fails */
  async effects(message: Sent): Promise<ItemEffects> {
    const [result] = await this.results(message);
    if (result?.status !== "done") throw new Error(JSON.stringify(result));
    return result.effects;
  }

  /** The data of the only event of the only message. */
  async emitted(message: Sent): Promise<unknown> {
    const { events } = await this.effects(message);
    return JSON.parse(events[0]?.data ?? "null");
  }

  #item({ key, attempt = 1, trigger = 0, resume = false, giveUp = "for good", ...message }: Sent): Buffer[] {
    const keyBytes = Buffer.from(key ?? "");
    const record = encodeMessage({
      payload: Buffer.from("null"),
      qos: 1,
      retain: false,
      time: 1_000,
      source: "sensor",
      hops: 0,
      ...message,
    });
    const { topic, time = 1_000, hops = 0 } = message;
    const seq = this.#seq++;
    const item = { message: { seq, topic, time, hops, record }, start: seq, trigger, key: key ?? topic, keyBytes, attempt };
    return [itemHead({ ...item, resume, giveUp, suspect: false, trial: "none" }), keyBytes, record];
  }

  [Symbol.dispose](): void {
    this.instance.dispose();
  }
}

export function resultsOf({ results }: RunOutcome): ItemResult[] {
  return decodeResults(Buffer.from(results, "latin1"), 65_535);
}

function brief(result: ItemResult): Brief {
  if (result.status === "deferred") return { status: result.status };
  const logs = result.logs.length === 0 ? {} : { logs: result.logs.map(({ level, message }) => `${level} ${message}`) };
  if (result.status !== "done") return { status: result.status, code: result.error.code, ...logs };
  const { state, events, publishes } = result.effects;
  // Without the mark of their version.
  const values = state.filter(({ name }) => name !== VERSION_NAME);
  const written = values.map(({ name, value }) => [name, value === undefined ? undefined : shownValue(value)] as const);
  return {
    status: "done",
    ...logs,
    ...(written.length === 0 ? {} : { state: Object.fromEntries(written) }),
    ...(events.length === 0 ? {} : { events: events.map(({ data }) => JSON.parse(data) as unknown) }),
    ...(publishes.length === 0 ? {} : { publishes: publishes.length }),
  };
}
