import ivm from "isolated-vm";

/** What V8 made of a source text, for this version of V8 with its flags on this machine. */
export type MachineCode = ivm.ExternalCopy<ArrayBuffer>;

/** What was made because `produceCachedData` was set. */
export function machineCodeOf(script: ivm.Script): MachineCode | undefined {
  const found: unknown = Reflect.get(script, "cachedData");
  return found instanceof ivm.ExternalCopy ? (found as MachineCode) : undefined;
}

/** V8 had no use for the `cachedData` it was given and compiled the text. */
export function wasRejected(script: ivm.Script): boolean {
  return Reflect.get(script, "cachedDataRejected") === true;
}
