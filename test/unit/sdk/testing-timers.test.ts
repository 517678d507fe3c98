import { defineFunction, type FunctionContext } from "millrace";
import { type FunctionHarness, testFunction } from "millrace/testing";
import { afterEach, describe, expect, it, vi } from "vitest";

function handling(run: (ctx: FunctionContext) => unknown): FunctionHarness {
  return testFunction(
    defineFunction({
      async handler(_event, ctx) {
        await run(ctx);
      },
    }),
  );
}

const message = { topic: "in/a", payload: {} };

describe("timers of a handler under test", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it("run while it waits, with what they are given, and find timers themselves", async () => {
    const seen: unknown[] = [];
    await handling(async () => {
      await new Promise((resolve) =>
        setTimeout(
          (...values: unknown[]) => {
            seen.push(...values);
            seen.push(typeof setTimeout(resolve, 1));
          },
          1,
          "a",
          2,
        ),
      );
    }).send(message);
    expect(seen).toEqual(["a", 2, "number"]);
  });

  it("repeat until they are cleared", async () => {
    let count = 0;
    await handling(async () => {
      await new Promise<void>((resolve) => {
        const id = setInterval(() => {
          if (++count === 3) {
            clearInterval(id);
            resolve();
          }
        }, 1);
      });
      const cleared = setTimeout(() => (count = 99), 1);
      clearTimeout(cleared);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }).send(message);
    expect(count).toBe(3);
  });

  it("are gone when the message is over, also when it failed, and none can be set afterwards", async () => {
    vi.useFakeTimers();
    let rang = 0;
    const tested = handling((ctx) => {
      setInterval(() => rang++, 1);
      setTimeout(() => rang++, 1);
      if (ctx.invocation.startsWith("2")) throw new Error("told to");
    });
    await tested.send(message);
    await expect(tested.send(message)).rejects.toThrow("told to");
    expect(vi.getTimerCount()).toBe(0);
    await vi.advanceTimersByTimeAsync(10);
    expect(rang).toBe(0);
  });

  it("refuse what a handler has left behind", async () => {
    let left: Promise<unknown> = Promise.resolve();
    const gate = Promise.withResolvers<void>();
    await handling(() => {
      left = gate.promise.then(() => setTimeout(() => undefined, 1));
      left.catch(() => undefined);
    }).send(message);
    gate.resolve();
    await expect(left).rejects.toThrow("only while a message is handled");
  });

  it("are at most 100 at once, and typed as on a gateway when there are more", async () => {
    const tested = handling(() => {
      for (let i = 0; i <= 100; i++) setTimeout(() => undefined, 1_000);
    });
    await expect(tested.send(message)).rejects.toMatchObject({ name: "MillraceError", code: "LIMIT_TIMERS" });
    const cleared = handling(() => {
      for (let i = 0; i <= 300; i++) clearTimeout(setTimeout(() => undefined, 1_000));
    });
    await cleared.send(message);
  });

  it("log what a callback throws, and fail nothing", async () => {
    const { logs } = await handling(async () => {
      setTimeout(() => {
        throw new Error("late");
      }, 1);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }).send(message);
    expect(logs).toMatchObject([{ level: "error", message: expect.stringContaining("Error: late") }]);
  });

  it("are those of Node for everybody else", async () => {
    await handling(() => undefined).send(message);
    const timer = setTimeout(() => undefined, 1);
    expect(typeof timer).toBe("object");
    clearTimeout(timer);
  });

  it("belong to init as well", async () => {
    const seen: string[] = [];
    const tested = testFunction(
      defineFunction({
        async init() {
          setInterval(() => seen.push("left"), 1);
          await new Promise((resolve) => setTimeout(resolve, 1));
          seen.length = 0;
        },
        async handler() {
          await new Promise((resolve) => setTimeout(resolve, 10));
        },
      }),
    );
    await tested.send(message);
    expect(seen).toEqual([]);
  });
});

describe("a fetch that the test lets fail", () => {
  it("is one that no answer has come for, as on a gateway", async () => {
    const failing = testFunction(defineFunction({ handler: async (_event, ctx) => void (await ctx.fetch("https://a.example")) }), {
      fetch: () => Promise.reject(new TypeError("no route")),
    });
    await expect(failing.send(message)).rejects.toMatchObject({ code: "FETCH_FAILED", message: expect.stringContaining("no route") });
  });

  it("ends with the reason of its signal", async () => {
    const aborted = testFunction(
      defineFunction({
        async handler(_event, ctx) {
          const abort = new AbortController();
          abort.abort(new Error("enough"));
          await ctx.fetch("https://a.example", { signal: abort.signal });
        },
      }),
      { fetch: (_url, { signal }) => Promise.reject(signal?.reason as Error) },
    );
    await expect(aborted.send(message)).rejects.toThrow("enough");
  });
});
