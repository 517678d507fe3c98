import { NO_USAGE } from "../../../src/core/usage.ts";
import type { FunctionStats, GatewayStats } from "../../../src/core/stats.ts";

export function functionStats(name: string, change: Partial<FunctionStats> = {}): FunctionStats {
  const counters = {
    handled: 12_345,
    failed: 0,
    retried: 0,
    deadLettered: 0,
    duplicates: 0,
    emitted: 0,
    published: 0,
    backlog: 0,
    instances: 0,
  };
  const starts = { count: 2, pooled: 1, cached: 0, isolateMs: 1.5, compileMs: 0.5, initMs: 0.25, firstCalls: 1, firstCallMs: 0.5 };
  return { name, version: 3, digest: "ab", state: "active", from: 0, ...counters, starts, usage: NO_USAGE, ...change };
}

export function gatewayStats(change: Partial<GatewayStats> = {}): GatewayStats {
  return {
    gateway: "dev",
    version: "0.1.0",
    startedAt: "2026-01-02T03:04:05.000Z",
    pid: 1,
    labels: {},
    broker: {
      clients: 7,
      received: 123_456,
      delivered: 1,
      refused: 0,
      willsRefused: 0,
      inflightBytes: 0,
      inflightWaits: 0,
      listeners: [],
      stored: { sessionsAway: 0, queuedMessages: 0, queuedBytes: 0, retainedMessages: 0, retainedBytes: 0, drops: [] },
    },
    calls: { open: 2, bodyBytes: 1024, refused: 3, late: 1 },
    journal: {
      appended: 1,
      seq: 1,
      floor: 0,
      commits: 1,
      first: 1,
      bytes: 100,
      waiting: [],
      opened: { end: "clean", tookMs: 5, publishes: 0, qos2: 0, problems: [] },
    },
    deadLetters: { count: 0, bytes: 0, full: false },
    runtime: { hosts: 1, hostRestarts: 0, isolatesEvicted: 0, memoryCap: "watch" },
    outbox: { pending: 3, uploaded: 1, rejected: 0 },
    link: { connected: true, url: "mqtt://127.0.0.1:8884" },
    drops: [],
    functions: [],
    ...change,
  };
}
