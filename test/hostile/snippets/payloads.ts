import type { Snippet } from "../snippet.ts";

const ROOMY = {
  limits: {
    cpuMs: 1_000,
    wallMs: 3_000,
    memoryBytes: 64 * 2 ** 20,
    outputBytes: 2 ** 20,
    stateValueBytes: 256 * 1024,
    stateBytes: 64 * 2 ** 20,
  },
};
const LARGEST = { limits: { ...ROOMY.limits, outputBytes: 8 * 2 ** 20 } };
const ITSELF = ["harmless", "FUNCTION_THREW", "LIMIT_CPU", "LIMIT_MEMORY", "LIMIT_OUTPUT", "PAYLOAD_INVALID"] as const;

const list = JSON.stringify(Array.from({ length: 12_000 }, (_, i) => ({ n: i })));
const deep = "[".repeat(50_000) + "]".repeat(50_000);
const names = JSON.stringify(Object.fromEntries(Array.from({ length: 8_000 }, (_, i) => [`name-${i}`, i])));
const text = JSON.stringify("\u00e9".repeat(300_000));

/** Large messages in, and as much out as is allowed. All of it is within the limits, again and again, and costs whoever takes it. */
export const PAYLOADS: readonly Snippet[] = [
  {
    name: "payload-of-100-kilobytes",
    expects: ["harmless"],
    payload: list,
    handler: "if (event.data.length !== 12_000) throw new Error('lost');",
  },
  {
    name: "payload-that-is-kept",
    expects: ["harmless", "LIMIT_MEMORY"],
    payload: list,
    handler: "(globalThis.all ??= []).push(event.data, event.text, event.bytes);",
  },
  { name: "payload-that-loops", expects: ["LIMIT_CPU"], payload: list, handler: "for (;;) JSON.parse(event.text);" },
  { name: "payload-of-depth", expects: ITSELF, payload: deep, handler: "ctx.emit('x', event.data); ctx.state.set('x', event.data);" },
  { name: "payload-of-many-names", expects: ["harmless"], payload: names, handler: "ctx.publish('flood/x', event.data);" },
  {
    name: "payload-of-half-a-megabyte",
    expects: ["harmless", "LIMIT_CPU"],
    payload: text,
    handler: "ctx.publish('flood/x', event.data.slice(0, 50_000));",
  },
  { name: "payload-that-is-not-json", expects: ["PAYLOAD_INVALID"], payload: "{".repeat(100_000), handler: "event.data.x;" },
  {
    name: "payload-as-bytes",
    expects: ["harmless", "LIMIT_CPU"],
    payload: text,
    handler: "for (let i = 0; i < 10; i++) event.bytes.at(-1);",
  },
  {
    name: "payload-echoed",
    expects: ["harmless"],
    payload: list,
    plan: ROOMY,
    handler: "for (let i = 0; i < 6; i++) ctx.publish('flood/x', event.data);",
  },
  {
    name: "publishes-100-kilobytes",
    expects: ["harmless"],
    plan: ROOMY,
    handler: "for (let i = 0; i < 10; i++) ctx.publish('flood/' + i, 'x'.repeat(100_000));",
  },
  {
    name: "publishes-megabytes",
    expects: ["harmless"],
    plan: LARGEST,
    handler: "for (let i = 0; i < 8; i++) ctx.publish('flood/' + i, 'x'.repeat(1_000_000));",
  },
  {
    name: "publishes-retained-megabytes",
    expects: ["harmless"],
    plan: LARGEST,
    handler: "for (let i = 0; i < 8; i++) ctx.publish('flood/' + i, 'x'.repeat(1_000_000), { retain: true });",
  },
  {
    name: "emits-100-kilobytes",
    expects: ["harmless"],
    plan: ROOMY,
    handler: "for (let i = 0; i < 10; i++) ctx.emit('x', 'x'.repeat(100_000));",
  },
  {
    name: "emits-megabytes",
    expects: ["harmless"],
    plan: LARGEST,
    handler: "for (let i = 0; i < 8; i++) ctx.emit('x', 'x'.repeat(1_000_000));",
  },
  {
    name: "stores-100-kilobytes",
    expects: ["harmless"],
    plan: ROOMY,
    handler: "for (let i = 0; i < 8; i++) ctx.state.set('n' + i, 'x'.repeat(100_000) + event.seq);",
  },
  {
    name: "stores-and-reads-all",
    expects: ["harmless"],
    plan: ROOMY,
    handler: "for (let i = 0; i < 8; i++) ctx.state.set('n' + i, 'x'.repeat(100_000)); await ctx.state.list();",
  },
  {
    name: "publishes-as-many-as-it-may",
    expects: ["harmless", "LIMIT_CPU"],
    plan: ROOMY,
    handler: "try { for (;;) ctx.publish('f', ''); } catch {}",
  },
  {
    name: "publishes-to-many-topics",
    expects: ["harmless", "LIMIT_CPU"],
    plan: ROOMY,
    handler: "try { for (let i = 0; ; i++) ctx.publish('f/' + i, ''); } catch {}",
  },
  {
    name: "publishes-retained-to-many-topics",
    expects: ["harmless", "LIMIT_CPU"],
    plan: ROOMY,
    handler: "try { for (let i = 0; ; i++) ctx.publish(event.seq + '/' + i, 'x', { retain: true }); } catch {}",
  },
  {
    name: "publishes-to-deep-topics",
    expects: ["harmless", "LIMIT_CPU"],
    plan: ROOMY,
    handler: "try { for (let i = 0; ; i++) ctx.publish(i + '/x'.repeat(90), ''); } catch {}",
  },
  {
    name: "emits-as-many-as-it-may",
    expects: ["harmless", "LIMIT_CPU"],
    plan: ROOMY,
    handler: "try { for (;;) ctx.emit('x', 1, { subject: '' }); } catch {}",
  },
  {
    name: "emits-many-types",
    expects: ["harmless", "LIMIT_CPU"],
    plan: ROOMY,
    handler: "try { for (let i = 0; ; i++) ctx.emit('x' + i, 1, { subject: '' }); } catch {}",
  },
  {
    name: "stores-as-many-as-it-may",
    expects: ["harmless", "LIMIT_CPU", "LIMIT_STATE"],
    plan: ROOMY,
    handler: "try { for (let i = 0; ; i++) ctx.state.set(i.toString(36), 1); } catch {}",
  },
  {
    name: "deletes-as-many-as-it-may",
    expects: ["harmless", "LIMIT_CPU"],
    plan: ROOMY,
    handler: "try { for (let i = 0; ; i++) ctx.state.delete(i.toString(36)); } catch {}",
  },
  {
    name: "stores-many-that-expire",
    expects: ["harmless", "LIMIT_CPU", "LIMIT_STATE"],
    plan: ROOMY,
    handler: "try { for (let i = 0; ; i++) ctx.state.set(i.toString(36), 1, { ttl: 1 + i }); } catch {}",
  },
  {
    name: "forges-many-empty-events",
    expects: ["FUNCTION_THREW", "LIMIT_OUTPUT"],
    plan: ROOMY,
    mute: true,
    handler: `const from = String.fromCharCode; let n = 0; ctx.emit('x', 1);
      String.fromCharCode = (...codes) => (++n === 1
      ? '\\0\\0\\0\\0\\xff\\xff' + '\\0\\0\\0\\0\\0\\0\\0\\0'.repeat(65_535) + '\\0\\0' : n < 12 ? '' : from(...codes));
      RegExp.prototype.test = () => true;`,
  },
  {
    name: "forges-many-empty-names",
    expects: ["FUNCTION_THREW", "LIMIT_OUTPUT"],
    plan: ROOMY,
    handler: `const from = String.fromCharCode; let n = 0;
      String.fromCharCode = (...codes) => (++n === 1
      ? '\\0\\0\\xff\\xff' + '\\0\\0\\xff\\xff\\xff\\xff'.repeat(65_535) + '\\0\\0\\0\\0' : n < 12 ? '' : from(...codes));`,
  },
];
