import type { Bundle } from "../core/bundle.ts";
import { MillraceError } from "../core/errors.ts";
import { once } from "../core/lifecycle.ts";
import { decodeMessage, encodeMessage, type Message } from "../core/message.ts";
import { silentLogger } from "../core/log.ts";
import type { InvokeResult } from "../core/stats.ts";
import { parseTopicFilter } from "../core/topic.ts";
import { decodeResults, type GuestError, type ItemEffects, type ItemResult } from "./effects.ts";
import { loadSpec } from "./function.ts";
import { HostPool, type InstanceHandle } from "./hosts.ts";
import { itemHead } from "./lane.ts";
import { type Route, RouteTable } from "./route.ts";

type StateReader = (key: string) => Promise<readonly { name: string; value: Buffer }[]>;

/** How the function is run; the defaults are those of a run outside a gateway. */
export interface InvokeOptions {
  readonly hosts: HostPool;
  readonly gateway: string;
  readonly version: number;
  /** What the function finds in its state. */
  readonly state: StateReader;
}

/**
 * Handles one message as if it had arrived, in a host process of its own, with an empty state; commits nothing.
 * @throws MillraceError FUNCTION_LOAD_FAILED, HOST_CRASHED, REQUEST_INVALID when no trigger matches the topic
 */
export async function invokeOnce(bundle: Bundle, message: Message): Promise<InvokeResult> {
  const hosts = new HostPool(1, silentLogger);
  try {
    return await invokeIn(bundle, message, { hosts, gateway: "local", version: 0, state: () => Promise.resolve([]) });
  } finally {
    await hosts.close();
  }
}

/** The same in the hosts of a gateway. */
export async function invokeIn(bundle: Bundle, message: Message, options: InvokeOptions): Promise<InvokeResult> {
  const filters = bundle.manifest.triggers.map((trigger) => parseTopicFilter(trigger.mqtt));
  const table = new RouteTable(filters.map((filter, index) => ({ owner: bundle, index, filter, key: bundle.manifest.key })));
  const [route] = table.match(message.topic);
  if (route === undefined) {
    const triggers = bundle.manifest.triggers.map((trigger) => trigger.mqtt).join(", ");
    throw new MillraceError(
      "REQUEST_INVALID",
      `no trigger of "${bundle.manifest.name}" matches the topic "${message.topic}"; it listens to ${triggers}`,
    );
  }
  const answer = Promise.withResolvers<ItemResult>();
  const instance: { handle?: InstanceHandle } = {};
  const startedAt = performance.now();
  const fault = (code: string, text: string): void => {
    answer.resolve({ status: "failed", logs: [], error: { code, name: "Error", message: text, stack: "" } });
  };
  instance.handle = await options.hosts.load(loadSpec(bundle, filters, options), {
    result: (_batch, results) => answer.resolve(decodeOne(results)),
    cut: (_batch, cut) => fault(cut.fault.code, cut.fault.message),
    lost: (reason) => fault("HOST_CRASHED", reason),
    stateGet: (request, keys) => {
      readState(keys, options.state).then((entries) => instance.handle?.stateLoaded(request, entries), answer.reject);
    },
  });
  const stop = once(() => Promise.resolve(instance.handle?.unload()));
  try {
    const { cpuMs, wallMs } = bundle.manifest.limits;
    instance.handle.run(1, { timeoutMs: cpuMs * 2, wallMs }, [...item(route, message)]);
    const result = await answer.promise;
    return present(result, route.key, performance.now() - startedAt);
  } finally {
    await stop();
  }
}

function* item(route: Route<unknown>, message: Message): Iterable<Uint8Array> {
  const record = encodeMessage(message);
  const { topic, time, hops } = message;
  const { key, keyBytes, index: trigger } = route;
  yield itemHead(
    { message: { seq: 0, topic, time, hops, record }, start: 0, trigger, key, keyBytes, attempt: 1, resume: false, suspect: false },
    true,
  );
  yield keyBytes;
  yield record;
}

function decodeOne(bytes: Buffer): ItemResult {
  const error: GuestError = { code: "FUNCTION_THREW", name: "Error", message: "the isolate gave an answer that cannot be read", stack: "" };
  try {
    return decodeResults(bytes, 1)[0] ?? { status: "failed", logs: [], error };
  } catch {
    return { status: "failed", logs: [], error };
  }
}

async function readState(keys: readonly string[], state: StateReader): Promise<string> {
  const entries = await Promise.all(
    keys.map(async (key) => [key, (await state(key)).map(({ name, value }) => [name, value.toString()])] as const),
  );
  return JSON.stringify(Object.fromEntries(entries));
}

function present(result: ItemResult, key: string, durationMs: number): InvokeResult {
  const none: ItemEffects = { state: [], events: [], publishes: [] };
  const effects = result.status === "done" ? result.effects : none;
  return {
    ok: result.status === "done",
    ...(result.status === "done" || result.status === "deferred" ? {} : { error: result.error }),
    state: effects.state.map(({ name, value }) => ({
      key,
      name,
      value: value === undefined ? null : (JSON.parse(value.toString()) as unknown),
    })),
    publishes: effects.publishes.map((record) => {
      const { topic, payload, qos, retain } = decodeMessage(record);
      return { topic, payload: Buffer.from(payload).toString("utf8"), qos, retain };
    }),
    events: effects.events.map(({ type, subject, data }) => ({ type, subject, data: JSON.parse(data) as unknown })),
    logs: result.status === "deferred" ? [] : result.logs,
    durationMs,
  };
}
