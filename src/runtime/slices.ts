import type { ItemResult } from "./effects.ts";

/** How many effects they have in all. */
export function effectsOf(results: readonly ItemResult[]): number {
  let count = 0;
  for (const result of results) count += effectsIn(result);
  return count;
}

function effectsIn(result: ItemResult): number {
  if (result.status !== "done") return 0;
  const { state, events, publishes } = result.effects;
  return state.length + events.length + publishes.length;
}

/** Behind which of the results from `from` on there are `effectsMax` effects, or all of them. */
export function sliceEnd(results: readonly ItemResult[], from: number, effectsMax: number): number {
  let count = 0;
  const last = results.findIndex((result, index) => index >= from && (count += effectsIn(result)) >= effectsMax);
  return last === -1 ? results.length : last + 1;
}
