import type { Draft } from "./draft.ts";

/** Bytes of what is likely to be large. */
export function bytesOf({ publishes, derived, state }: Draft): number {
  let bytes = 0;
  for (const record of publishes) bytes += record.length;
  for (const { record } of derived) bytes += record.length;
  for (const { value } of state) bytes += value?.length ?? 0;
  return bytes;
}

/** Bytes of what leaves the function. */
export function outOf({ publishes, events }: Draft): number {
  let bytes = 0;
  for (const record of publishes) bytes += record.length;
  for (const { data } of events) bytes += Buffer.byteLength(data);
  return bytes;
}
