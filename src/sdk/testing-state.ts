import { MillraceError } from "../core/errors.ts";
import { SHARED_KEY } from "../core/state-value.ts";
import { formatSize } from "../core/units.ts";
import { bytesAbove, expiresAt, storedOf, valueOf } from "../runtime/host/guest-stored.ts";
import { nameOf, ownerText, VERSION_NAME } from "../runtime/host/guest-state-names.ts";
import type { FunctionState, JsonValue, KeyState } from "./index.ts";

export interface StateChange {
  /** SHARED_KEY for what belongs to the function. */
  readonly key: string;
  readonly name: string;
  /** Undefined when the value is deleted. */
  readonly stored: string | undefined;
}

/** Values as the journal keeps them, by key and name. */
export type TestStore = ReadonlyMap<string, ReadonlyMap<string, string>>;

interface StateParts {
  /** What is stored, by key and name. */
  readonly stored: TestStore;
  /** What the handler has written so far. */
  readonly changes: StateChange[];
  /** The time of the message. */
  readonly now: number;
  readonly key: string;
  /** For errors. */
  readonly functionName: string;
  /** Whether the function may keep what all keys see. */
  readonly mayShare: boolean;
  readonly valueBytesMax: number;
  /** Counts against what one message may produce. */
  readonly spend: (texts: readonly string[], effects: 0 | 1) => void;
}

export function createState(parts: StateParts): KeyState {
  return {
    ...stateOf(parts),
    get shared(): FunctionState {
      if (parts.mayShare) return stateOf({ ...parts, key: SHARED_KEY });
      throw new MillraceError("STATE_NOT_SHARED", `function "${parts.functionName}" has several isolates; set \`concurrency: 1\``);
    },
  };
}

function stateOf(parts: StateParts): FunctionState {
  const { stored, changes, now, key } = parts;
  const write = (name: string, value: string | undefined): void => {
    const isNew = !changes.some((change) => change.key === key && change.name === name);
    parts.spend([name, value ?? ""], isNew ? 1 : 0);
    changes.push({ key, name, stored: value });
  };
  const current = (): Map<string, string> =>
    applyChanges(
      new Map(stored.get(key)),
      changes.filter((change) => change.key === key),
    );
  return {
    get<T>(name: string): Promise<T | undefined> {
      return Promise.resolve().then(() => {
        const value = current().get(nameOf(name));
        return value === undefined ? undefined : (valueOf(value, now) as T | undefined);
      });
    },
    list<T>(prefix = ""): Promise<Map<string, T>> {
      return Promise.resolve().then(() => {
        const found = [...current()].filter(([name, value]) => name !== VERSION_NAME && name.startsWith(prefix) && expiresAt(value) > now);
        return new Map(found.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => [name, valueOf(value, now) as T]));
      });
    },
    set(name, value, options): void {
      write(nameOf(name), fitting(name, storedOf(value, options, now), parts));
    },
    delete(name): void {
      write(nameOf(name), undefined);
    },
  };
}

/** @throws MillraceError LIMIT_STATE when one value is too large */
export function fitting(
  name: string,
  stored: string,
  { functionName, key, valueBytesMax }: Pick<StateParts, "functionName" | "key" | "valueBytesMax">,
): string {
  if (bytesAbove(stored, valueBytesMax) === undefined) return stored;
  throw new MillraceError(
    "LIMIT_STATE",
    `${ownerText(functionName, key)}: the state value "${name}" is over limits.stateValue, ${formatSize(valueBytesMax)}`,
  );
}

/** Changes `values`, and returns it. */
export function applyChanges(values: Map<string, string>, changes: readonly StateChange[]): Map<string, string> {
  for (const { name, stored } of changes) {
    if (stored === undefined) values.delete(name);
    else values.set(name, stored);
  }
  return values;
}

/** @throws TypeError for what JSON cannot hold. */
export function jsonOf(value: JsonValue): string {
  const json = JSON.stringify(value) as string | undefined;
  if (json === undefined) throw new TypeError(`${typeof value} is not a JSON value`);
  return json;
}
