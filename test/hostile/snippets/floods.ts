import type { Snippet } from "../snippet.ts";

/** Too much of what a function may do: logs, state, publishes and events. */
export const FLOODS: readonly Snippet[] = [
  { name: "timers-too-many", expects: ["LIMIT_TIMERS"], handler: "for (let i = 0; i < 101; i++) setTimeout(() => 1, 1);" },
  { name: "timers-set-for-ever", expects: ["LIMIT_CPU"], handler: "for (;;) clearTimeout(setTimeout(() => 1, 1));" },
  {
    name: "timers-ever-earlier",
    expects: ["LIMIT_CALLS", "LIMIT_CPU"],
    handler: "for (let i = 1e6; ; i--) { const id = setTimeout(() => 1, i); for (let j = 0; j < 5; j++) await 0; clearTimeout(id); }",
  },
  {
    name: "timers-that-set-timers",
    expects: ["LIMIT_WALL", "LIMIT_TIMERS"],
    handler: "const again = () => { setTimeout(again, 0); }; for (let i = 0; i < 90; i++) again(); await new Promise(() => undefined);",
  },
  { name: "timers-that-loop", expects: ["LIMIT_CPU"], handler: "await new Promise(() => setInterval(() => { for (;;); }, 1));" },
  { name: "timers-left-behind", expects: ["harmless"], handler: "setInterval(() => { for (;;); }, 1);" },
  {
    name: "timers-with-a-broken-map",
    expects: ["LIMIT_CALLS", "LIMIT_CPU", "LIMIT_WALL"],
    handler: "Map.prototype.delete = () => true; Math.max = () => -1; setInterval(() => 1, 1); await new Promise(() => undefined);",
  },
  { name: "random-for-ever", expects: ["LIMIT_CPU"], handler: "const all = new Uint8Array(65_536); for (;;) crypto.getRandomValues(all);" },
  {
    name: "random-too-much",
    expects: ["FUNCTION_THREW"],
    handler: "crypto.getRandomValues(new Uint8Array(65_537));",
  },
  {
    name: "random-ids-for-ever",
    expects: ["LIMIT_CPU", "LIMIT_MEMORY"],
    handler: "const all = new Set(); for (;;) all.add(crypto.randomUUID());",
  },
  { name: "logs-many-lines", expects: ["LIMIT_LOG"], handler: "for (let i = 0; i < 5_000; i++) ctx.log.info('line ' + i);" },
  { name: "logs-long-lines", expects: ["LIMIT_LOG"], handler: "for (let i = 0; i < 100; i++) ctx.log.error('x'.repeat(100_000));" },
  { name: "logs-for-ever", expects: ["LIMIT_CPU"], handler: "for (;;) console.log('x');" },
  {
    name: "stores-many-names",
    expects: ["LIMIT_OUTPUT", "LIMIT_STATE"],
    handler: "for (let i = 0; i < 50_000; i++) ctx.state.set('name' + i, i);",
  },
  { name: "stores-large-value", expects: ["LIMIT_STATE"], handler: "ctx.state.set('x', 'x'.repeat(1e6));" },
  {
    name: "stores-more-each-time",
    expects: ["LIMIT_STATE", "harmless"],
    handler: "for (let i = 0; i < 15; i++) ctx.state.set(event.id + '-' + i, 'x'.repeat(15_000));",
  },
  { name: "publishes-for-ever", expects: ["LIMIT_OUTPUT"], handler: "for (;;) ctx.publish('flood/x', 'x'.repeat(1_000));" },
  { name: "publishes-nothing-for-ever", expects: ["LIMIT_OUTPUT", "LIMIT_CPU"], handler: "for (;;) ctx.publish('flood/x', '');" },
  { name: "publishes-too-much", expects: ["LIMIT_OUTPUT", "LIMIT_MEMORY"], handler: "ctx.publish('flood/x', 'x'.repeat(1e7));" },
  {
    name: "publishes-and-does-not-listen",
    expects: ["LIMIT_CPU", "LIMIT_OUTPUT"],
    handler: "for (;;) { try { ctx.publish('flood/x', 'x'.repeat(1e4)); } catch {} }",
  },
  { name: "emits-for-ever", expects: ["LIMIT_OUTPUT"], handler: "for (;;) ctx.emit('x', { n: 1 });" },
  {
    name: "emits-what-it-may-not",
    expects: ["PERMISSION_DENIED"],
    plan: { emit: ["allowed"] },
    mute: true,
    handler: "for (let i = 0; i < 100; i++) { try { ctx.emit('x' + i, 1); } catch {} } ctx.emit('forbidden', 1);",
  },
];
