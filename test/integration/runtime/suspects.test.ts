import { afterEach, describe, expect, it, vi } from "vitest";
import { HostPool } from "../../../src/runtime/hosts.ts";
import { Core } from "../../support/core.ts";
import { eventually } from "../../support/eventually.ts";
import { functionOf, type TestFunction } from "../../support/functions.ts";
import { hostsOf } from "../../support/processes.ts";

const MANY = 100;
const CRASH = "'x'.repeat(2 ** 29 - 24).split('');";

const plan = (name: string, handler: string): TestFunction =>
  functionOf({ name, triggers: [`in/${name}`], limits: { cpuMs: 5_000, wallMs: 60_000 }, retry: { attempts: 1 }, handler });
const innocents = Array.from({ length: MANY }, (_, n) => plan(`f${n}`, "await ctx.state.get('x'); ctx.emit('seen', event.attempt);"));
const culprit = plan("culprit", CRASH);

/** Gives each of the functions a message; all of them are under way, and wait for their state until `goOn`. */
async function begin(core: Core): Promise<{ readonly goOn: () => void; readonly loads: (kind: string) => number }> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { journal } = core;
  const real = journal.loadState.bind(journal);
  const asked = vi.spyOn(journal, "loadState").mockImplementation(async (...what) => {
    await promise;
    return real(...what);
  });
  await core.deploy(...innocents, culprit);
  await Promise.all(innocents.map(({ target }) => core.send(`in/${target.name}`, 1)));
  await eventually(() => expect(asked).toHaveBeenCalledTimes(MANY));
  const load = vi.spyOn(HostPool.prototype, "load");
  return { goOn: resolve, loads: (kind) => load.mock.calls.filter(([, , place]) => place?.kind === kind).length };
}

/** All but the culprit are handled, at their first attempt. */
async function expectAnswers(core: Core): Promise<void> {
  await core.drained(60_000);
  expect((await core.events("seen")).map(({ data }) => data)).toEqual(innocents.map(() => 1));
  for (const { target } of innocents) expect(core.stats(target.name)).toMatchObject({ handled: 1, failed: 0 });
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe("a hundred functions with messages under way in a host that dies", { timeout: 120_000 }, () => {
  it("are tried in one host together, and none of them in one of its own", async () => {
    await using core = await Core.temporary();
    const { goOn, loads } = await begin(core);
    for (const pid of hostsOf(process.pid)) process.kill(pid, "SIGKILL");
    await eventually(() => expect(core.runtime.stats().hostRestarts).toBeGreaterThan(0));
    goOn();
    await expectAnswers(core);
    expect([loads("suspects"), loads("own")]).toEqual([MANY, 0]);
    expect(await core.deadLetters()).toEqual([]);
  });

  it("answer all the same when one of them is the culprit, who alone is charged", async () => {
    await using core = await Core.temporary();
    const { goOn, loads } = await begin(core);
    await core.send("in/culprit", 1);
    await eventually(() => expect(core.runtime.stats().hostRestarts).toBeGreaterThan(0));
    goOn();
    await expectAnswers(core);
    expect(loads("suspects")).toBeGreaterThan(MANY);
    // The culprit, and who was at work beside it among the suspects.
    expect(loads("own")).toBeLessThan(MANY / 10);
    // The host that all of them shared, that of the suspects, and the own one of the culprit.
    expect(core.runtime.stats().hostRestarts).toBe(3);
    expect(await core.deadLetters()).toMatchObject([{ function: "culprit", attempts: 1 }]);
  });
});
