import type { Clock } from "../../core/clock.ts";
import { MillraceError } from "../../core/errors.ts";
import type { FunctionStats } from "../../core/stats.ts";
import type { ControlClient } from "../client/control-client.ts";
import type { GatewayClient } from "../client/gateway-client.ts";
import type { DevModel, Note } from "./model.ts";

const EVERY_MS = 500;
const RATE_EVERY_MS = 1_000;
const LOGS_AGAIN_MS = 1_000;
/** A function that fails on every message must not scroll everything else away. */
const LOG_NOTES_PER_SECOND = 5;

interface MonitorParts {
  readonly gateway: GatewayClient;
  readonly control: ControlClient;
  readonly model: DevModel;
  readonly clock: Clock;
}

/** Keeps the model up to date with what gateway and control plane say, until the signal aborts. */
export async function monitor(parts: MonitorParts, signal: AbortSignal): Promise<void> {
  await Promise.all([figures(parts, signal), warnings(parts, signal)]);
}

async function figures({ gateway, control, model, clock }: MonitorParts, signal: AbortSignal): Promise<void> {
  let before: { received: number; pid: number; at: number } | undefined;
  while (!signal.aborted) {
    const [stats, cloud] = await Promise.all([orUndefined(gateway.stats()), orUndefined(control.stats())]);
    const now = clock.now();
    if (stats !== undefined) {
      const { pid, broker } = stats;
      if (before?.pid !== pid) before = { received: broker.received, pid, at: now };
      else if (now - before.at >= RATE_EVERY_MS) {
        model.addRate(((broker.received - before.received) / (now - before.at)) * 1000);
        before = { received: broker.received, pid, at: now };
      }
      for (const { level, text } of functionNotes(model.state.gateway?.functions ?? [], stats.functions)) model.note(level, text);
      model.update({ gateway: stats });
    }
    model.update({ now, gatewayAnswers: stats !== undefined, ...(cloud === undefined ? {} : { stored: cloud.events }) });
    await pause(clock, EVERY_MS, signal);
  }
}

/** What is new about the functions between two answers of the gateway. */
export function functionNotes(before: readonly FunctionStats[], after: readonly FunctionStats[]): readonly Omit<Note, "time">[] {
  return after.flatMap(({ name, version, state, error }): Omit<Note, "time">[] => {
    const old = before.find((each) => each.name === name);
    if (state !== "active") return old?.error === error ? [] : [{ level: "error", text: `${name}: ${error ?? "failed"}` }];
    const recovered = old !== undefined && old.state !== "active" && old.version === version;
    return old?.version === version && !recovered ? [] : [{ level: "info", text: `${name} v${version} is active` }];
  });
}

/** What functions log as a warning or worse is worth a line. */
async function warnings({ gateway, model, clock }: MonitorParts, signal: AbortSignal): Promise<void> {
  let after = 0;
  let pid: number | undefined;
  const allow = limiter(LOG_NOTES_PER_SECOND, clock);
  while (!signal.aborted) {
    const stats = await orUndefined(gateway.stats());
    // Numbers of records begin again with each process.
    if (stats !== undefined && stats.pid !== pid) after = 0;
    pid = stats?.pid ?? pid;
    await orUndefined(followWarnings());
    await pause(clock, LOGS_AGAIN_MS, signal);
  }

  async function followWarnings(): Promise<void> {
    for await (const { n, level, function: name, version, message, time } of gateway.followLogs({ level: "warn", after })) {
      after = n;
      if (allow()) model.note(level === "error" ? "error" : "warn", `${name} v${version}: ${message}`, time);
    }
  }
}

function limiter(perSecond: number, clock: Clock): () => boolean {
  let second = 0;
  let used = 0;
  return () => {
    const now = Math.floor(clock.now() / 1000);
    if (now !== second) used = 0;
    second = now;
    return ++used <= perSecond;
  };
}

async function orUndefined<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    // Unreachable for a moment is a state of the picture, not a failure of it; so is a stop while asking.
    if (error instanceof MillraceError || (error instanceof Error && error.name === "AbortError")) return undefined;
    throw error;
  }
}

async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  await clock.sleep(ms, signal).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}
