import type { Outcome } from "./lane-owner.ts";

/** Outcomes that take effect together or not at all. */
export interface Unit {
  readonly outcomes: readonly Outcome[];
  /** Something that belongs to it is missing. */
  readonly isBroken: boolean;
}

/** Cuts outcomes where a commit may be cut: what was handled in one call of `batch` stays together. */
export function unitsOf(outcomes: readonly Outcome[]): readonly Unit[] {
  const units: Unit[] = [];
  let open: Outcome[] = [];
  for (const outcome of outcomes) {
    const { result } = outcome;
    const joined = result.status === "done" && result.joined === true;
    // Those that failed in between belong to it too, so that their order stays.
    if (open.length > 0 || joined) open.push(outcome);
    else units.push({ outcomes: [outcome], isBroken: false });
    if (open.length > 0 && result.status === "done" && !joined) {
      units.push({ outcomes: open, isBroken: false });
      open = [];
    }
  }
  if (open.length > 0) units.push({ outcomes: open, isBroken: true });
  return units;
}
