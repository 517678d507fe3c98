import type { Clock } from "../../core/clock.ts";
import type { GatewayInfo } from "../../core/control-api.ts";

const ASK_AGAIN_MS = 200;

/** What the connected gateways made of one published digest. */
export interface Rollcall {
  readonly active: readonly string[];
  readonly failed: readonly { readonly gateway: string; readonly error: string }[];
  readonly waiting: readonly string[];
}

export interface Target {
  readonly name: string;
  readonly digest: string;
}

/** Reads from what gateways report how far they are with a digest. A gateway that is not connected counts as neither. */
export function rollcall({ name, digest }: Target, gateways: readonly GatewayInfo[]): Rollcall {
  const active: string[] = [];
  const failed: { gateway: string; error: string }[] = [];
  const waiting: string[] = [];
  for (const { id, functions } of gateways.filter(({ connected }) => connected)) {
    const reports = functions.filter((each) => each.name === name && each.digest === digest);
    const failure = reports.find(({ state }) => state !== "active");
    if (reports.some(({ state }) => state === "active")) active.push(id);
    else if (failure !== undefined) failed.push({ gateway: id, error: failure.error ?? "no reason given" });
    else waiting.push(id);
  }
  return { active, failed, waiting };
}

export interface AwaitOptions {
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Asks until no connected gateway is waiting for any target, or the time is up. Returns the last answers, in the order of the targets. */
export async function awaitGateways(
  targets: readonly Target[],
  ask: () => Promise<readonly GatewayInfo[]>,
  { timeoutMs, clock, signal }: AwaitOptions,
): Promise<Rollcall[]> {
  const deadline = clock.now() + timeoutMs;
  for (;;) {
    const gateways = await ask();
    const answers = targets.map((target) => rollcall(target, gateways));
    if (answers.every(({ waiting }) => waiting.length === 0) || clock.now() >= deadline) return answers;
    await clock.sleep(ASK_AGAIN_MS, signal);
  }
}
