import { describe, expect, it } from "vitest";
import { type Daemon, runDaemon } from "../../../src/cli/daemon.ts";
import { MillraceError } from "../../../src/core/errors.ts";

function setUp(): {
  io: Parameters<typeof runDaemon>[0];
  stop: AbortController;
  out: string[];
  daemon: Daemon;
  fail: (error: Error) => void;
  closes: number[];
} {
  const stop = new AbortController();
  const out: string[] = [];
  const closes: number[] = [];
  const end = Promise.withResolvers<void>();
  const daemon = {
    addresses: { http: "http://h" },
    stopped: end.promise,
    close: async () => {
      closes.push(1);
      end.resolve();
    },
  };
  const io = {
    stdout: (text: string) => void out.push(text),
    stderr: () => undefined,
    signal: stop.signal,
    tty: false,
    env: {},
    json: false,
  };
  return { io, stop, out, daemon, closes, fail: (error) => end.reject(error) };
}

describe("a daemon's runner", () => {
  it("closes what stopped by itself with an error, and passes the error on", async () => {
    const { io, daemon, fail, closes } = setUp();
    const running = runDaemon(io, { title: "d", start: async () => daemon });
    fail(new MillraceError("DISK_FULL", "full"));
    await expect(running).rejects.toMatchObject({ code: "DISK_FULL" });
    expect(closes).toHaveLength(1);
  });

  it("starts again what could not go on for a reason that passes, until it does not", async () => {
    const { io, daemon, fail, closes, out } = setUp();
    const full = new MillraceError("DISK_FULL", "full");
    const asked: unknown[] = [];
    const starts = [
      async () => daemon,
      () => Promise.reject(full),
      async () => ({ ...daemon, stopped: Promise.reject(new Error("other")) }),
    ];
    const running = runDaemon(io, {
      title: "d",
      start: () => starts.shift()?.() ?? Promise.reject(new Error("no more")),
      passes: (failure) => asked.push(failure) > 0 && failure === full,
      clock: { now: () => 0, elapsed: () => 0, sleep: async () => undefined },
    });
    fail(full);
    await expect(running).rejects.toThrow("other");
    expect(asked).toEqual([full, full, new Error("other")]);
    expect([closes.length, out.length]).toEqual([2, 1]);
  });

  it("does not start again when it is told to stop meanwhile", async () => {
    const { io, stop, daemon, fail } = setUp();
    let starts = 0;
    const running = runDaemon(io, {
      title: "d",
      start: async () => (starts++, daemon),
      passes: () => true,
      clock: { now: () => 0, elapsed: () => 0, sleep: async (ms) => (ms < 1_000 ? stop.abort() : Promise.withResolvers<void>().promise) },
    });
    fail(new MillraceError("DISK_FULL", "full"));
    expect(await running).toBe(0);
    expect(starts).toBe(1);
  });

  it("passes on the first error when closing fails as well", async () => {
    const { io, daemon, fail } = setUp();
    const running = runDaemon(io, { title: "d", start: async () => ({ ...daemon, close: () => Promise.reject(new Error("second")) }) });
    fail(new MillraceError("DISK_FULL", "full"));
    await expect(running).rejects.toMatchObject({ code: "DISK_FULL" });
  });

  it("says nothing and closes when it is told to stop during the start", async () => {
    const { io, stop, daemon, out, closes } = setUp();
    const start = Promise.withResolvers<Daemon>();
    const running = runDaemon(io, { title: "d", start: () => start.promise });
    stop.abort();
    start.resolve(daemon);
    expect(await running).toBe(0);
    expect([out, closes.length]).toEqual([[], 1]);
  });

  it("does not wait for ever for a start or a close", async () => {
    const { io, stop, daemon } = setUp();
    const waits: number[] = [];
    const clock = { now: () => 0, elapsed: () => 0, sleep: async (ms: number) => void waits.push(ms) };
    const never = Promise.withResolvers<never>().promise;
    const starting = runDaemon(io, { title: "d", start: () => never, clock });
    const closing = runDaemon(io, { title: "d", start: async () => ({ ...daemon, close: () => never }), clock });
    stop.abort();
    await expect(starting).rejects.toMatchObject({ code: "STOP_TIMEOUT" });
    await expect(closing).rejects.toMatchObject({ code: "STOP_TIMEOUT" });
    for (const ms of waits) expect(ms).toBeLessThan(3_000);
    expect(waits.length).toBeGreaterThan(0);
  });
});
