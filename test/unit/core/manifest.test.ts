import { describe, expect, it } from "vitest";
import { compilePermissions, manifestSchema } from "../../../src/core/manifest.ts";

describe("permissions", () => {
  const permissions = compilePermissions({ publish: ["cmd/+device/fan", "alarm/#"], emit: ["measurement", "com.example.*"] });

  it.each([
    ["cmd/boiler-1/fan", true],
    ["cmd/boiler-1/pump", false],
    ["cmd/fan", false],
    ["alarm", true],
    ["alarm/milan/fire", true],
    ["alarms", false],
  ])("publishing to %s: %s", (topic, allowed) => {
    expect(permissions.mayPublish(topic)).toBe(allowed);
  });

  it.each([
    ["measurement", true],
    ["measurement.minute", false],
    ["com.example.", true],
    ["com.example.alarm", true],
    ["com.example", false],
    ["", false],
  ])("emitting %s: %s", (type, allowed) => {
    expect(permissions.mayEmit(type)).toBe(allowed);
  });

  it("allow nothing when nothing is named, and every event with *", () => {
    expect(compilePermissions({ publish: [], emit: [] }).mayPublish("a")).toBe(false);
    expect(compilePermissions({ publish: [], emit: [] }).mayEmit("a")).toBe(false);
    expect(compilePermissions({ publish: [], emit: ["*"] }).mayEmit("anything at all")).toBe(true);
  });
});

describe("the schema of a normalized manifest", () => {
  const manifest = {
    name: "a",
    api: 1,
    description: "",
    triggers: [{ mqtt: "a" }],
    concurrency: 1,
    limits: { cpuMs: 50, wallMs: 5_000, memoryBytes: 1, outputBytes: 1, stateValueBytes: 1 },
    retry: { attempts: 1, minMs: 0, maxMs: 0, maxAgeMs: 1 },
    permissions: { publish: [], emit: [] },
    env: {},
  };

  it("accepts what the runtime can obey and nothing it does not know", () => {
    expect(manifestSchema.parse(manifest)).toMatchObject({ ...manifest, triggers: [{ mqtt: "a", durable: true }] });
    expect(manifestSchema.safeParse({ ...manifest, order: "loose" }).success).toBe(false);
    expect(manifestSchema.safeParse({ ...manifest, idempotency: { key: "id", windowMs: 1, entries: 1 } }).success).toBe(false);
    expect(manifestSchema.safeParse({ ...manifest, batch: {} }).success).toBe(false);
    expect(manifestSchema.safeParse({ ...manifest, triggers: [] }).success).toBe(false);
    expect(manifestSchema.safeParse({ ...manifest, concurrency: 65 }).success).toBe(false);
  });

  it("accepts no duration that a timer would take for none", () => {
    const { limits, retry } = manifest;
    const long = 2 ** 31 - 1;
    const longest = {
      idleMs: long,
      limits: { ...limits, cpuMs: 2 ** 30 - 1, wallMs: long },
      retry: { ...retry, minMs: long, maxMs: long },
    };
    expect(manifestSchema.safeParse({ ...manifest, ...longest }).success).toBe(true);
    for (const longer of [
      { idleMs: long + 1 },
      { limits: { ...limits, cpuMs: 2 ** 30 } },
      { limits: { ...limits, wallMs: long + 1 } },
      { retry: { ...retry, minMs: long + 1 } },
      { retry: { ...retry, maxMs: long + 1 } },
    ]) {
      expect(manifestSchema.safeParse({ ...manifest, ...longer }).success).toBe(false);
    }
  });
});
