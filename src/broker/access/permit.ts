import { filterAsSent, sharedFilter } from "../filters.ts";
import { type Entry, firstMatch, gapOf } from "./coverage.ts";
import { OPERATORS, type Subject } from "./identity.ts";
import { widened, withPlaceholders } from "./placeholders.ts";
import type { Action, Rule } from "./rules-file.ts";
import { applies } from "./who.ts";

export interface Decision {
  readonly allowed: boolean;
  /** For an operator: the rule that decides, or that none does. */
  readonly why: string;
}

interface RuleEntry extends Entry {
  readonly where: string;
  readonly filter: string;
}

/** Topics and filters that one client has been told about. */
const KNOWN_MAX = 128;

/** What one client or function may do, by the rules that are about it. Says yes to everything when there are none to go by. */
export class Permit {
  readonly #entries: Readonly<Record<Action, readonly RuleEntry[]>> | undefined;
  /** What is decided where no rule says anything. */
  readonly #otherwise: (action: Action) => Decision;
  readonly #operator: boolean;
  /** Made when there is something to remember: there is one of these for each of many clients. */
  #published: Map<string, boolean> | undefined;
  #retained: Map<string, boolean> | undefined;
  #received: Map<string, boolean> | undefined;
  #subscribed: Map<string, boolean> | undefined;

  /** Without rules `open` decides. */
  constructor(subject: Subject, rules: readonly Rule[] | undefined, open: boolean) {
    this.#operator = subject.groups.includes(OPERATORS);
    this.#entries = entriesFor(subject, rules, open);
    const missing = rules === undefined ? NO_FILE : NO_RULE;
    this.#otherwise = subject.function === undefined ? () => missing : (action) => this.#otherwiseOfFunction(action);
  }

  /** A function has a manifest, too: one that is only denied some topics may have the others. */
  #otherwiseOfFunction(action: Action): Decision {
    return this.#entries?.[action].some(({ allow }) => allow) === true ? NO_RULE : MANIFEST;
  }

  /** Whether the client may publish to the topic, and have the message kept for later subscribers if it is to be. */
  mayPublish(topic: string, retain: boolean): boolean {
    if (this.#entries === undefined) return true;
    if (!this.#known((this.#published ??= new Map()), "publish", topic)) return false;
    return !retain || this.#known((this.#retained ??= new Map()), "retain", topic);
  }

  /** Whether a message that waited for the client is still one that it may have. */
  mayReceive(topic: string): boolean {
    if (topic.startsWith("$")) return this.#operator;
    return this.#entries === undefined || this.#known((this.#received ??= new Map()), "subscribe", topic);
  }

  /** Of a shared subscription what its members get counts, whether it is as its client sent it or as the engine and stored sessions have it. */
  maySubscribe(filter: string): boolean {
    return remembered((this.#subscribed ??= new Map()), filter, () => this.subscribing(filter).allowed);
  }

  publishing(topic: string): Decision {
    return this.#decide("publish", topic);
  }

  /** Whether a message to the topic may be kept; whether it may be published is another question. */
  retaining(topic: string): Decision {
    return this.#decide("retain", topic);
  }

  subscribing(filter: string): Decision {
    const shared = sharedFilter(filterAsSent(filter));
    if (shared !== undefined) return this.subscribing(shared.filter);
    if (filter.startsWith("$")) return reserved(filter, this.#operator);
    if (this.#entries === undefined) return OPEN;
    const gap = gapOf(filter, this.#entries.subscribe);
    if (gap === undefined) return this.#covered(filter);
    const { topic, entry } = gap;
    const why = entry === undefined ? this.#otherwise("subscribe").why : denial(entry);
    return { allowed: false, why: topic === filter ? why : `it would bring messages such as "${topic}": ${why}` };
  }

  /** Names the first rule that has a part in it. */
  #covered(filter: string): Decision {
    const [first] = (this.#entries?.subscribe ?? []).filter((entry) => entry.allow && gapOf(filter, [entry]) === undefined);
    return first === undefined ? { allowed: true, why: "several rules together allow it" } : { allowed: true, why: permission(first) };
  }

  #decide(action: Action, topic: string): Decision {
    if (this.#entries === undefined) return OPEN;
    const entry = firstMatch(this.#entries[action], topic);
    if (entry === undefined) return this.#otherwise(action);
    return { allowed: entry.allow, why: entry.allow ? permission(entry) : denial(entry) };
  }

  #known(known: Map<string, boolean>, action: Action, topic: string): boolean {
    return known.get(topic) ?? remembered(known, topic, () => this.#decide(action, topic).allowed);
  }
}

function remembered(known: Map<string, boolean>, text: string, decide: () => boolean): boolean {
  const before = known.get(text);
  if (before !== undefined) return before;
  const decided = decide();
  if (known.size >= KNOWN_MAX) known.clear();
  known.set(text, decided);
  return decided;
}

/** Of a client that is nobody any more. */
export function nothingPermitted(subject: Subject): Permit {
  return new Permit({ ...subject, groups: [] }, [], false);
}

const NO_FILE: Decision = {
  allowed: false,
  why: "there is no access file, and without one only clients on loopback and Unix sockets may do anything",
};
const NO_RULE: Decision = { allowed: false, why: "no rule of the access file allows it" };
const MANIFEST: Decision = { allowed: true, why: "no rule of an access file says anything, so the manifest of the function decides" };
const NONE = { publish: [], subscribe: [], retain: [] };
const OPEN: Decision = { allowed: true, why: "there is no access file, and the client is on loopback or a Unix socket" };

function reserved(filter: string, operator: boolean): Decision {
  if (!filter.startsWith("$SYS/")) return { allowed: false, why: 'topics that start with "$" belong to the broker' };
  return { allowed: operator, why: `$SYS is for members of the group "${OPERATORS}"` };
}

function permission({ where, filter }: RuleEntry): string {
  return `rule ${where} allows "${filter}"`;
}

function denial({ where, filter }: RuleEntry): string {
  return `rule ${where} denies "${filter}"`;
}

/** In the order in which they are asked; in one rule what it denies comes first. Undefined when there is nothing to ask. */
function entriesFor(
  subject: Subject,
  rules: readonly Rule[] | undefined,
  open: boolean,
): Readonly<Record<Action, readonly RuleEntry[]>> | undefined {
  if (rules === undefined) return open && subject.function === undefined ? undefined : NONE;
  const own = rules.filter(({ who }) => applies(who, subject));
  const entriesOf = (action: Action): RuleEntry[] =>
    own.flatMap((rule) => [...denied(rule, action, subject), ...allowed(rule, action, subject)]);
  return { publish: entriesOf("publish"), subscribe: entriesOf("subscribe"), retain: entriesOf("retain") };
}

/** A name that does not fit into a topic must not get around what is denied. */
function denied({ where, deny }: Rule, action: Action, subject: Subject): RuleEntry[] {
  return (deny[action] ?? []).map((filter) => {
    const text = withPlaceholders(filter, subject) ?? widened(filter);
    return { levels: text.split("/"), allow: false, where, filter };
  });
}

function allowed({ where, allow }: Rule, action: Action, subject: Subject): RuleEntry[] {
  return (allow[action] ?? []).flatMap((filter) => {
    const text = withPlaceholders(filter, subject);
    return text === undefined ? [] : [{ levels: text.split("/"), allow: true, where, filter }];
  });
}
