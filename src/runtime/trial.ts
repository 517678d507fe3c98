/**
 * Where a message is tried again that was under way when a host died: in the host of all suspects, when there were many of them, or in a host with
 * nothing else, where its guilt is certain.
 */
export type Trial = "none" | "together" | "alone";

/** Whether what needs `needed` may be handled where `has` is the case. */
export function isTriedIn(needed: Trial, has: Trial): boolean {
  return needed === "none" || has === "alone" || has === needed;
}
