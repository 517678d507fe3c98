import { describe, expect, it } from "vitest";
import { Computed } from "../../../src/runtime/host/unstopped-calls.ts";

const SECOND_NS = 1_000_000_000n;

describe("what an isolate has computed", () => {
  it("is what the library says, as long as the process has computed as much", () => {
    const isolate = { cpuTime: 5n * SECOND_NS, isDisposed: false };
    const computed = new Computed(isolate);
    const before = process.cpuUsage().user;
    while (process.cpuUsage().user < before + 20_000) Math.sqrt(before);
    isolate.cpuTime += SECOND_NS / 100n;
    expect(computed.ms).toBe(10);
  });

  it("is no more than the process has computed while the isolate waited for a processor", () => {
    const isolate = { cpuTime: 0n, isDisposed: false };
    const before = process.cpuUsage();
    const computed = new Computed(isolate);
    isolate.cpuTime = 3_600n * SECOND_NS;
    const { ms } = computed;
    const { user, system } = process.cpuUsage(before);
    expect(ms).toBeLessThanOrEqual((user + system) / 1_000);
  });

  it("is nothing once it is gone", () => {
    const isolate = { cpuTime: 0n, isDisposed: false };
    const computed = new Computed(isolate);
    Object.defineProperty(isolate, "cpuTime", { get: () => expect.unreachable() });
    isolate.isDisposed = true;
    expect(computed.ms).toBe(0);
  });
});
