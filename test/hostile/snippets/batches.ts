import type { Snippet } from "../snippet.ts";

/** Handles messages one by one is what is left when a call of several makes no sense. */
const OWN = ["FUNCTION_THREW"] as const;

/** Functions with `batch` and `init`: what they return, and what they do with the messages of others of the call. */
export const BATCHES: readonly Snippet[] = [
  { name: "batch-that-loops", expects: ["LIMIT_CPU"], batch: "for (;;);" },
  { name: "batch-that-waits", expects: ["LIMIT_WALL"], batch: "await new Promise(() => undefined);" },
  { name: "batch-fails-with-ids-of-others", expects: OWN, batch: "return { failed: [{ id: 'hostile:1', error: 'x' }] };" },
  { name: "batch-fails-twice", expects: OWN, batch: "return { failed: events.concat(events).map(({ id }) => ({ id, error: 'x' })) };" },
  { name: "batch-fails-with-no-list", expects: OWN, batch: "return { failed: { length: 1, 0: { id: events[0].id } } };" },
  {
    name: "batch-fails-without-end",
    expects: ["LIMIT_CPU", "LIMIT_MEMORY"],
    batch:
      "const failed = []; failed[Symbol.iterator] = function* () { for (;;) yield { id: events[0].id, error: 'x' }; }; return { failed };",
  },
  {
    name: "batch-fails-with-a-proxy",
    expects: ["LIMIT_CPU"],
    batch: "return new Proxy({}, { has: () => true, get(_, name) { if (name === 'then') return undefined; for (;;); } });",
  },
  { name: "batch-fails-with-ids-that-loop", expects: ["LIMIT_CPU"], batch: "return { failed: [{ id: { toString() { for (;;); } } }] };" },
  {
    name: "batch-fails-with-errors-that-loop",
    expects: ["LIMIT_CPU"],
    batch: "return { failed: events.map(({ id }) => ({ id, error: { get message() { for (;;); } } })) };",
  },
  {
    name: "batch-changes-its-events",
    expects: ["harmless", "FUNCTION_THREW"],
    batch: "for (const event of events) { try { event.key = 'other'; } catch {} } events.length = 0; return { failed: [] };",
  },
  { name: "batch-asks-for-other-contexts", expects: OWN, batch: "ctx.of({ key: 'k0' }).state.set('x', 1);" },
  {
    name: "batch-keeps-contexts",
    expects: ["harmless", "FUNCTION_THREW"],
    mute: true,
    batch: `const before = globalThis.kept; globalThis.kept = [ctx, ...events.map((event) => ctx.of(event))];
      for (const one of before ?? []) { try { one.emit('late', 1); one.publish('flood/late', 1); one.log.info('late'); } catch {} }`,
  },
  {
    name: "batch-publishes-for-ever",
    expects: ["LIMIT_OUTPUT"],
    batch: "for (;;) for (const event of events) ctx.of(event).publish('flood/x', 'x'.repeat(1_000));",
  },
  {
    name: "batch-forges-its-output-limit",
    expects: ["LIMIT_OUTPUT"],
    mute: true,
    plan: { limits: { cpuMs: 1_000, wallMs: 3_000, memoryBytes: 64 * 2 ** 20 } },
    prelude: `const parse = JSON.parse; JSON.parse = (text) => { const value = parse(text);
      if (value?.outputBytes > 0) value.outputBytes = 1e12; return value; };`,
    batch: "for (const event of events) ctx.of(event).publish('flood/x', 'x'.repeat(2e6)); ctx.publish('flood/x', 'x'.repeat(2e6));",
  },
  { name: "init-that-waits", expects: ["FUNCTION_LOAD_FAILED"], init: "await new Promise(() => undefined);" },
  { name: "init-that-loops", expects: ["FUNCTION_LOAD_FAILED"], init: "for (;;);" },
  {
    name: "init-that-fills-memory",
    expects: ["FUNCTION_LOAD_FAILED", "HOST_CRASHED"],
    init: "const all = []; for (;;) all.push(new Array(10_000).fill(all.length));",
  },
  { name: "init-that-logs-for-ever", expects: ["FUNCTION_LOAD_FAILED", "LIMIT_LOG"], init: "for (;;) ctx.log.info('x'.repeat(1_000));" },
  {
    name: "init-that-sets-timers",
    expects: ["harmless", "FUNCTION_LOAD_FAILED"],
    mute: true,
    init: "setInterval(() => { for (;;); }, 1); globalThis.kept = ctx;",
    handler: "kept.log.info('x');",
  },
  {
    name: "init-that-fetches",
    expects: ["FUNCTION_LOAD_FAILED"],
    plan: { http: ["http://127.0.0.1:9"] },
    init: "await fetch('http://127.0.0.1:9/');",
  },
  { name: "init-with-a-thenable", expects: ["FUNCTION_LOAD_FAILED"], init: "return { then() {} };" },
];
