import { type Bundle, digestOf, encodeBundle } from "../../src/core/bundle.ts";
import { manifestSchema } from "../../src/core/manifest.ts";
import type { Target } from "../../src/runtime/runtime.ts";

const HANDLER = `handler(event, ctx) { ctx.publish("bench/out/1", { v: event.data.v, n }); }`;

/** The code of a function: a handler that publishes, behind about `bytes` of other functions. `n` makes it one of many. */
export function codeOf(bytes: number, n: number): string {
  const others: string[] = [];
  for (let length = 0, i = 0; length < bytes; i++) {
    const other = `function f${i}(a, b) { const all = { x: a, y: [b, ${i}], z: "name ${i}" };
      for (const key of Object.keys(all)) if (all[key] === b) return key + ${i}; return all; }\n`;
    others.push(other);
    length += other.length;
  }
  return `${others.join("")} const n = ${n}; var __millrace = { default: { ${HANDLER} } };`;
}

/** A deployable version of the function `bench`. */
export function versionOf(version: number, code: string): { target: Target; bundle: Bundle } {
  return deployable({ name: "bench", version, mqtt: "bench/in/+" }, code);
}

/** A function with this handler, listening to one filter. */
export function versionNamed(name: string, mqtt: string, handler: string): { target: Target; bundle: Bundle } {
  return deployable({ name, version: 1, mqtt, key: "k" }, `var __millrace = { default: { ${handler} } };`);
}

function deployable(
  about: { readonly name: string; readonly version: number; readonly mqtt: string; readonly key?: string },
  code: string,
): { target: Target; bundle: Bundle } {
  const { name, version, mqtt, key } = about;
  const manifest = manifestSchema.parse({
    name,
    api: 1,
    description: "",
    triggers: [{ mqtt, durable: true }],
    ...(key === undefined ? {} : { key }),
    concurrency: 1,
    limits: { cpuMs: 1_000, wallMs: 5_000, memoryBytes: 32 * 2 ** 20, outputBytes: 2 ** 20, stateValueBytes: 65_536 },
    retry: { attempts: 3, minMs: 1_000, maxMs: 60_000, maxAgeMs: 3_600_000 },
    permissions: { publish: ["#"], emit: ["*"] },
    env: {},
  });
  const bundle: Bundle = { manifest, code, sourceMap: "" };
  return { bundle, target: { name, version, digest: digestOf(encodeBundle(bundle)) } };
}
