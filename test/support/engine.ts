import type { LoadSpec } from "../../src/runtime/host/frames.ts";
import { IsolatedVmEngine } from "../../src/runtime/host/isolated-vm.ts";

/** A function that does nothing. */
export const SPEC: LoadSpec = {
  name: "f",
  version: 1,
  gateway: "g",
  code: "var __millrace = { default: { handler() {} } };",
  env: {},
  triggers: [],
  publish: [],
  emit: ["*"],
  batch: false,
  strict: true,
  memoryBytes: 32 * 2 ** 20,
  initMs: 1_000,
  wallMs: 1_000,
  outputBytes: 100_000,
  stateValueBytes: 1_000,
  fetchBytes: 100_000,
  secrets: [],
  shared: true,
  stateVersion: 1,
};
export const WAYS = {
  loadState: (): void => undefined,
  call: (): void => undefined,
  callOff: (): void => undefined,
  stuck: ({ message }: { readonly message: string }): void => {
    throw new Error(message);
  },
};
export const LIMITS = { timeoutMs: 1_000, wallMs: 2_000, cpuMs: 500 };

export function engineWith(quiet: () => boolean): IsolatedVmEngine {
  return new IsolatedVmEngine({
    quiet,
    stuck: (reason) => {
      throw new Error(reason);
    },
  });
}

/** One message without content to a handler, as a batch. */
const record = Buffer.concat([Buffer.from([0, 0, 0, 13, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1]), Buffer.from("t"), Buffer.from([0, 0])]);
export const BATCH = Buffer.concat([Buffer.from([0, 1, 0, 0, 0, 0, 0, 0, 7, 0, 0]), record]).toString("latin1");
