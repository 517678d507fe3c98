import { describe, expect, it, vi } from "vitest";
import { readFileSync } from "node:fs";
import { getPriority } from "node:os";
import { silentLogger } from "../../../src/core/log.ts";
import type { InstanceEvents, InstanceHandle, Loss } from "../../../src/runtime/guarded-host.ts";
import { HostPool, type Place } from "../../../src/runtime/hosts.ts";
import type { LoadSpec } from "../../../src/runtime/host/frames.ts";
import { BATCH, SPEC } from "../../support/engine.ts";
import { hostsOf } from "../../support/processes.ts";

const LIMITS = { timeoutMs: 100, wallMs: 5_000, cpuMs: 50 };
const batch = (): Buffer[] => [Buffer.from(BATCH, "latin1")];

/** What becomes of one instance. */
function listen(): { events: InstanceEvents; results: number[]; cuts: string[]; losses: Loss[] } {
  const [results, cuts, losses]: [number[], string[], Loss[]] = [[], [], []];
  const events: InstanceEvents = {
    result: (number) => void results.push(number),
    cut: (_number, { fault }) => void cuts.push(fault.code),
    stateGet: () => undefined,
    lost: (loss) => void losses.push(loss),
  };
  return { events, results, cuts, losses };
}

const spec = (handler: string): LoadSpec => ({ ...SPEC, code: `var __millrace = { default: { handler() { ${handler} } } };` });

async function open(options: Partial<ConstructorParameters<typeof HostPool>[0]> = {}): Promise<AsyncDisposable & { pool: HostPool }> {
  const pool = new HostPool({ shared: 1, ...options }, silentLogger);
  await pool.ready();
  return { pool, [Symbol.asyncDispose]: () => pool.close() };
}

/**
 * Runs an instance that is quick for so long that it comes to run on the thread that everything depends on, and stays there. Where a busy machine makes
 * one of its batches slow it runs on another thread, and is named by its host.
 */
async function stick(pool: HostPool, place: Place): Promise<Loss | undefined> {
  const { events, results, losses } = listen();
  const code = "globalThis.n = (globalThis.n ?? 0) + 1; if (globalThis.n > 40) 3n ** (2n ** 28n);";
  const instance = await pool.load(spec(code), events, place);
  for (let n = 1; n <= 41; n++) {
    instance.run(n, LIMITS, batch());
    await vi.waitUntil(() => results.length === n || losses.length > 0, { interval: 1, timeout: 5_000 });
  }
  return losses[0];
}

const own = (owner: string, lasting = false): Place => ({ kind: "own", owner, lasting });

const PLACES = {
  shared: { kind: "shared" },
  probation: { kind: "probation" },
  trial: { kind: "own", owner: {}, lasting: false },
} as const satisfies Record<string, Place>;

describe("the hosts of a gateway", () => {
  it("are one without a function, and another one is kept ready as soon as there is a function", async () => {
    await using hosts = await open();
    const { pool } = hosts;
    expect(pool.size).toBe(1);
    await pool.load(SPEC, listen().events);
    await vi.waitUntil(() => pool.size === 2);
    await pool.ready();
    expect(hostsOf(process.pid)).toHaveLength(2);
  });

  it("are there although the first one is killed while it starts, and are given up when all of them are", async () => {
    await using both = new AsyncDisposableStack();
    const lucky = both.adopt(new HostPool({ shared: 1, spare: false }, silentLogger), (pool) => pool.close());
    const ready = lucky.ready();
    for (const pid of hostsOf(process.pid)) process.kill(pid, "SIGKILL");
    await ready;
    expect(lucky.restarts).toBe(1);
    (await lucky.load(SPEC, listen().events)).unload();
    await lucky.close();
    const unlucky = both.adopt(new HostPool({ shared: 1, spare: false }, silentLogger), (pool) => pool.close());
    let failed: unknown;
    unlucky.ready().catch((error: unknown) => (failed = error));
    await vi.waitUntil(
      () => {
        for (const pid of hostsOf(process.pid)) process.kill(pid, "SIGKILL");
        return failed !== undefined;
      },
      { interval: 1, timeout: 20_000 },
    );
    expect(failed).toMatchObject({ code: "HOST_CRASHED", message: expect.stringContaining("SIGKILL") });
    expect(unlucky.restarts).toBeGreaterThan(2);
  });

  it("keep apart what is to be kept apart", async () => {
    await using hosts = await open({ spare: false });
    const { pool } = hosts;
    const all: { readonly heard: ReturnType<typeof listen>; readonly instance: InstanceHandle }[] = [];
    for (const place of [PLACES.shared, PLACES.probation, PLACES.trial]) {
      const heard = listen();
      all.push({ heard, instance: await pool.load(SPEC, heard.events, place) });
    }
    const [first] = hostsOf(process.pid);
    expect(hostsOf(process.pid)).toHaveLength(3);
    for (const { instance } of all) instance.run(1, LIMITS, batch());
    await vi.waitUntil(() => all.every(({ heard }) => heard.results.length === 1));
    process.kill(first ?? 0, "SIGKILL");
    await vi.waitUntil(() => all.some(({ heard }) => heard.losses.length > 0));
    expect(all.flatMap(({ heard }) => heard.losses.map(({ guilt }) => guilt))).toEqual(["none"]);
    expect(pool.restarts).toBe(1);
  });

  it("have a lower priority than the gateway and are the first to go when memory is short", async () => {
    await using hosts = await open();
    const { pool } = hosts;
    await pool.load(SPEC, listen().events, PLACES.shared);
    const [shared] = hostsOf(process.pid);
    const before = getPriority();
    await vi.waitUntil(() => getPriority(shared) === Math.min(19, before + 5));
    expect(readFileSync(`/proc/${shared}/oom_score_adj`, "utf8").trim()).toBe("1000");
  });

  it("that do not react are found by what their main thread computes; only in an own host somebody is to blame", async () => {
    await using hosts = await open();
    const { pool } = hosts;
    let [idle, loss] = [listen(), undefined as Loss | undefined];
    for (let tries = 0; tries < 20 && loss?.guilt !== "possible"; tries++) {
      idle = listen();
      await pool.load(SPEC, idle.events);
      loss = await stick(pool, PLACES.probation);
    }
    expect(loss).toMatchObject({ fault: { code: "LIMIT_CPU" }, guilt: "possible" });
    expect(idle.losses).toMatchObject([{ guilt: "none" }]);
    expect(await stick(pool, PLACES.trial)).toMatchObject({ fault: { code: "LIMIT_CPU" }, guilt: "certain" });
  });

  it("say which isolate cannot be stopped, so that nobody else is under suspicion", async () => {
    await using hosts = await open();
    const { pool } = hosts;
    const [guilty, busy] = [listen(), listen()];
    const waiting = await pool.load(
      { ...spec(""), code: "var __millrace = { default: { handler: () => new Promise(() => undefined) } };" },
      busy.events,
    );
    const stuck = await pool.load(spec("3n ** (2n ** 28n);"), guilty.events);
    waiting.run(1, LIMITS, batch());
    stuck.run(1, LIMITS, batch());
    await vi.waitUntil(() => guilty.losses.length > 0, { timeout: 5_000 });
    expect(guilty.losses).toMatchObject([{ fault: { code: "LIMIT_CPU" }, guilt: "certain" }]);
    expect(busy.losses).toMatchObject([{ guilt: "none" }]);
  });

  it("that take too much memory are killed; with others at work nobody is to blame, alone in an own host one is", async () => {
    await using hosts = await open({ memoryMax: 200 * 2 ** 20 });
    const { pool } = hosts;
    const waits = { ...SPEC, code: "var __millrace = { default: { handler: () => new Promise(() => undefined) } };" };
    const bomb = spec("globalThis.all = []; for (;;) globalThis.all.push('x'.repeat(1e6).split('x').map(() => new Array(100).fill(1)));");
    const limits = { timeoutMs: 20_000, wallMs: 20_000, cpuMs: 10_000 };
    const [guilty, busy] = [listen(), listen()];
    (await pool.load(waits, busy.events)).run(1, limits, batch());
    (await pool.load({ ...bomb, memoryBytes: 2 ** 30 }, guilty.events)).run(1, limits, batch());
    await vi.waitUntil(() => guilty.losses.length > 0, { timeout: 10_000 });
    for (const { losses } of [guilty, busy]) expect(losses).toMatchObject([{ fault: { code: "LIMIT_MEMORY" }, guilt: "possible" }]);
    const again = listen();
    (await pool.load({ ...bomb, memoryBytes: 2 ** 30 }, again.events, PLACES.trial)).run(1, limits, batch());
    await vi.waitUntil(() => again.losses.length > 0, { timeout: 10_000 });
    expect(again.losses).toMatchObject([
      { fault: { code: "LIMIT_MEMORY", message: expect.stringContaining("runtime.host_memory_max") }, guilt: "certain" },
    ]);
  });

  it("of a single owner are bounded: who needs one for a while waits until another one gives it up, and who needs one for good is refused", async () => {
    await using hosts = await open({ ownMax: 2, spare: false });
    const { pool } = hosts;
    await pool.load(SPEC, listen().events, own("for good", true));
    expect([pool.hasRoom("for good"), pool.hasRoom("too")]).toEqual([true, false]);
    await expect(pool.load(SPEC, listen().events, own("too", true))).rejects.toMatchObject({ code: "HOSTS_TAKEN" });
    const first = await pool.load(SPEC, listen().events, own("a"));
    const order: string[] = [];
    const second = pool.load(SPEC, listen().events, own("b")).then((instance) => {
      order.push("b");
      return instance;
    });
    await pool.load(SPEC, listen().events, PLACES.shared);
    order.push("shared");
    first.unload();
    (await second).unload();
    expect(order).toEqual(["shared", "b"]);
    await pool.load(SPEC, listen().events, own("c"));
  });
});
