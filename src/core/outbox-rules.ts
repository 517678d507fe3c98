import type { Overflow } from "./manifest.ts";

/** How an event waits for the cloud. */
export interface OutboxRule {
  /** 0 to 9; what is higher is sent first. */
  readonly priority: number;
  /** How long it may wait; for ever without it. */
  readonly ttlMs?: number | undefined;
  /** What happens at the outbox's quota. */
  readonly overflow: Overflow;
}

interface TypedRule extends OutboxRule {
  readonly types: readonly string[];
}

export const DEFAULT_RULE: OutboxRule = { priority: 5, overflow: "block" };

/** Types that are remembered with their rules; a function that makes types up does not fill the memory with them. */
const KNOWN_TYPES_MAX = 1_000;

/** The rule of an event type: the first that matches it, or the default. In a pattern, `*` at the end stands for any rest. */
export function compileOutboxRules(rules: readonly TypedRule[]): (type: string) => OutboxRule {
  if (rules.length === 0) return () => DEFAULT_RULE;
  const known = new Map<string, OutboxRule>();
  return (type) => {
    let rule = known.get(type);
    if (rule === undefined) {
      rule = rules.find(({ types }) => types.some((pattern) => matches(pattern, type))) ?? DEFAULT_RULE;
      if (known.size >= KNOWN_TYPES_MAX) known.clear();
      known.set(type, rule);
    }
    return rule;
  };
}

function matches(pattern: string, type: string): boolean {
  return pattern.endsWith("*") ? type.startsWith(pattern.slice(0, -1)) : type === pattern;
}
