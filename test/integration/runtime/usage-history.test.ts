import { describe, expect, it } from "vitest";
import { silentLogger } from "../../../src/core/log.ts";
import { HOUR_MS, HOURS_MS_MAX, SAMPLES_MS_MAX } from "../../../src/core/usage-history.ts";
import { UsageRecorder } from "../../../src/runtime/usage-recorder.ts";
import { Core } from "../../support/core.ts";
import { functionOf } from "../../support/functions.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const START = 1_000_000 * HOUR_MS;

/** A recorder that a test tells when to record, and what time it is. */
class Recording implements AsyncDisposable {
  readonly recorder: UsageRecorder;
  readonly #core: Core;
  #now = START;

  constructor(core: Core) {
    this.#core = core;
    const clock = { now: () => this.#now, elapsed: () => 0, sleep: () => Promise.reject(new Error("nobody waits here")) };
    const functions = (): ReturnType<Core["runtime"]["recorded"]> => core.runtime.recorded();
    this.recorder = new UsageRecorder({ store: core.journal.history, clock, logger: silentLogger, functions });
  }

  async handle(count: number, at: number): Promise<void> {
    for (let i = 0; i < count; i++) await this.#core.send("in/a", i);
    await this.#core.drained();
    await this.record(at);
  }

  async record(at: number): Promise<void> {
    this.#now = at;
    await this.recorder.record();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.recorder.close();
  }
}

function version(number: number, handler = ""): ReturnType<typeof functionOf> {
  return functionOf({ version: number, retry: { attempts: 1 }, handler });
}

async function invocationsByHour({ recorder }: Recording): Promise<(readonly [number, number])[]> {
  return (await recorder.hours(0)).map(({ time, invocations }) => [(time - START) / HOUR_MS, invocations]);
}

describe("What functions have used", () => {
  it("is added up by the hour, over versions and restarts, whichever way the clock goes", async () => {
    await using folder = await TempFolder.make();
    {
      await using core = await Core.open({ folder: folder.path });
      await using recording = new Recording(core);
      await core.deploy(version(1));
      await recording.handle(3, START + 10_000);
      await core.deploy(version(2, "throw 1;"));
      await recording.handle(2, START + 20_000);
      await recording.handle(4, START + HOUR_MS);
      expect(await invocationsByHour(recording)).toEqual([
        [0, 5],
        [1, 4],
      ]);
      const [first] = await recording.recorder.hours(0);
      expect(first).toMatchObject({ function: "f", errors: 2 });
      expect(first?.cpuMs).toBeGreaterThan(0);
      expect(first?.gbSeconds).toBeGreaterThan(0);
    }
    await using core = await Core.open({ folder: folder.path });
    await using recording = new Recording(core);
    await core.deploy(version(2, "throw 1;"));
    await recording.handle(1, START + HOUR_MS + 10_000);
    await recording.handle(10, START + 30_000);
    expect(await invocationsByHour(recording)).toEqual([
      [0, 15],
      [1, 5],
    ]);
    // An hour is there from its beginning on, also when somebody asks for a time in the middle of it.
    expect(await recording.recorder.hours(START + HOUR_MS + 5_000)).toHaveLength(1);
  });

  it("is there in samples of what happened since the one before, and nothing is written while nothing happens", async () => {
    await using core = await Core.temporary();
    await using recording = new Recording(core);
    await core.deploy(version(1), functionOf({ name: "quiet", triggers: ["quiet/+k"], handler: "" }));
    await recording.record(START);
    await recording.handle(3, START + 10_000);
    const { commits } = core.journal;
    await recording.record(START + 20_000);
    expect(core.journal.commits).toBe(commits);
    await recording.handle(2, START + 30_000);
    const samples = await recording.recorder.samples(0);
    expect(
      samples.map(({ time, functions }) => [time - START, functions.map((row) => [row.function, row.version, row.invocations])]),
    ).toEqual([
      [10_000, [["f", 1, 3]]],
      [30_000, [["f", 1, 2]]],
    ]);
    expect(samples[0]?.functions[0]?.heapBytes).toBeGreaterThan(100_000);
    expect(await recording.recorder.samples(START + 10_001)).toHaveLength(1);
  });

  it("is forgotten when it is old enough", async () => {
    await using core = await Core.temporary();
    await using recording = new Recording(core);
    await core.deploy(version(1));
    await recording.handle(1, START);
    await recording.handle(1, START + SAMPLES_MS_MAX + 1);
    expect(await recording.recorder.samples(0)).toHaveLength(1);
    expect(await recording.recorder.hours(0)).toHaveLength(2);
    await recording.handle(1, START + HOURS_MS_MAX + 1);
    expect(await invocationsByHour(recording)).toEqual([
      [SAMPLES_MS_MAX / HOUR_MS, 1],
      [HOURS_MS_MAX / HOUR_MS, 1],
    ]);
  });

  it("of a function that was removed and deployed again begins anew", async () => {
    await using core = await Core.temporary();
    await using recording = new Recording(core);
    await core.deploy(version(1));
    await recording.handle(5, START);
    await core.runtime.remove("f");
    await core.deploy(version(1));
    await recording.handle(2, START + 10_000);
    const sum = (await recording.recorder.hours(0)).reduce((all, { invocations }) => all + invocations, 0);
    expect(sum).toBe(7);
  });

  it("is recorded by itself, the last of it when the recorder is closed", async () => {
    await using core = await Core.temporary();
    await core.deploy(version(1));
    const waits: number[] = [];
    const first = Promise.withResolvers<void>();
    const clock = {
      now: () => START,
      elapsed: () => 0,
      sleep: (ms: number, signal?: AbortSignal) => {
        waits.push(ms);
        if (waits.length === 1) return first.promise;
        return new Promise<void>((_, reject) => signal?.addEventListener("abort", () => reject(new Error("aborted"))));
      },
    };
    const functions = (): ReturnType<Core["runtime"]["recorded"]> => core.runtime.recorded();
    const recorder = new UsageRecorder({ store: core.journal.history, clock, logger: silentLogger, functions });
    recorder.start();
    await core.send("in/a", 1);
    await core.drained();
    first.resolve();
    await expect.poll(async () => (await recorder.hours(0))[0]?.invocations).toBe(1);
    await core.send("in/a", 2);
    await core.drained();
    await recorder.close();
    expect((await recorder.hours(0))[0]?.invocations).toBe(2);
    expect(waits).toEqual([10_000, 10_000]);
  });
});
