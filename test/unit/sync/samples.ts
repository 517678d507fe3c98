import { type Bundle, digestOf, encodeBundle } from "../../../src/core/bundle.ts";
import { type Manifest, manifestSchema } from "../../../src/core/manifest.ts";

export function manifestOf(name: string, filter = "sensors/+device/temp"): Manifest {
  return manifestSchema.parse({
    name,
    api: 1,
    description: "",
    triggers: [{ mqtt: filter }],
    concurrency: 1,
    limits: { cpuMs: 50, wallMs: 5_000, memoryBytes: 32 * 1024 ** 2, outputBytes: 1024 ** 2, stateValueBytes: 64 * 1024 },
    retry: { attempts: 5, minMs: 1_000, maxMs: 60_000, maxAgeMs: 3_600_000 },
    permissions: { publish: [], emit: ["*"] },
    env: {},
  });
}

/** A bundle whose code is `code`, of its own digest; `bytes` long at least. */
export function sampleBundle(name: string, code: string, bytes = 0): { bundle: Bundle; bytes: Buffer; digest: string } {
  const bundle = {
    manifest: manifestOf(name),
    code: `globalThis.__millrace = ${JSON.stringify(code)};${" ".repeat(bytes)}`,
    sourceMap: "",
  };
  const encoded = encodeBundle(bundle);
  return { bundle, bytes: encoded, digest: digestOf(encoded) };
}
