/** An effect costs whoever takes it about as much as so many bytes of a large one do. */
const EFFECT_BYTES = 1_024;
/** However small `limits.output` is. */
const EFFECTS_MIN = 100;

/** How many publishes, events and written state values one message may have: one for each KB of `limits.output`, and 100 in any case. */
export function effectsMaxOf(outputBytes: number): number {
  return Math.max(EFFECTS_MIN, Math.floor(outputBytes / EFFECT_BYTES));
}
