import { beforeEach, describe, expect, it } from "vitest";
import type { InstanceEvents, InstanceHandle } from "../../../src/runtime/guarded-host.ts";
import { Instance } from "../../../src/runtime/instance.ts";

/** What happened, in order. */
let seen: string[];
/** Attempts to make an isolate that have not come to an end. */
let loads: { readonly events: InstanceEvents; succeed(): void; fail(): void }[];
let instance: Instance;

const owner = {
  load: async (events: InstanceEvents): Promise<InstanceHandle> => {
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const id = seen.push("load");
    loads.push({ events, succeed: () => resolve(undefined), fail: () => reject(new Error("no")) });
    await promise;
    return {
      started: { isolateMs: 0, compileMs: 0, initMs: 0, pooled: false, cached: false },
      ask: () => Infinity,
      run: () => undefined,
      stateLoaded: (_request, entries) => void seen.push(`answered ${entries}`),
      unload: () => void seen.push(`unload ${id}`),
    };
  },
  loadFailed: () => void seen.push("failed"),
  killedHost: () => undefined,
  starts: { firstCall: () => undefined },
  place: "shared",
  loadState: (keys: readonly string[]) => {
    seen.push(`read ${keys.join()}`);
    return Promise.resolve("{}");
  },
};

beforeEach(() => {
  seen = [];
  loads = [];
  instance = new Instance(owner, {
    result: (batch) => void seen.push(`result ${batch}`),
    cut: () => undefined,
    lost: () => instance.replace("none"),
    unread: () => void seen.push("unread"),
    turn: () => void seen.push("turn"),
    giveUp: () => instance.drop(),
    ready: () => void seen.push("ready"),
  });
});

/** Lets everything happen that only waits for promises. */
async function rest(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

describe("the isolate of a lane", () => {
  it("is given state only after what it said before is settled", async () => {
    const warm = instance.warm();
    loads[0]?.succeed();
    await warm;
    seen = [];
    const look = Promise.withResolvers<void>();
    instance.settleAfter(look.promise, () => void seen.push("settled 1"));
    loads[0]?.events.result(2, Buffer.alloc(0), 1);
    loads[0]?.events.stateGet(7, ["k"]);
    await rest();
    expect(seen).toEqual([]);
    look.resolve();
    await rest();
    expect(seen).toEqual(["settled 1", "result 2", "read k", "answered {}"]);
  });

  it("says that the function stops, and nothing else, when it cannot be read what settling has to wait for", async () => {
    const warm = instance.warm();
    loads[0]?.succeed();
    await warm;
    seen = [];
    const look = Promise.withResolvers<void>();
    instance.settleAfter(look.promise, () => void seen.push("settled"));
    loads[0]?.events.result(2, Buffer.alloc(0), 1);
    look.reject(new Error("no"));
    await rest();
    expect(seen).toEqual(["unread"]);
  });

  it("is made once when the function starts without it while it is being made", async () => {
    const warm = instance.warm();
    instance.recover();
    expect(loads.length).toBe(1);
    loads[0]?.succeed();
    await warm;
    await rest();
    expect(seen).toEqual(["load", "ready"]);
  });

  it("is made anew when the function has started without it and it fails then", async () => {
    const warm = instance.warm().catch(() => void seen.push("not warm"));
    instance.recover();
    loads[0]?.fail();
    await warm;
    expect(seen).toEqual(["load", "load", "not warm"]);
    loads[1]?.succeed();
    await rest();
    expect(seen.slice(3)).toEqual(["ready"]);
    expect(instance.handle).toBeDefined();
  });

  it("is unloaded when it is finished after its lane was closed", async () => {
    const warm = instance.warm();
    instance.close();
    loads[0]?.succeed();
    await warm;
    expect(seen).toContain("unload 1");
    expect(instance.handle).toBeUndefined();
  });
});
