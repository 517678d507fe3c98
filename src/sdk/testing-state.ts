import { MillraceError } from "../core/errors.ts";
import { formatSize } from "../core/units.ts";
import type { FunctionState, JsonValue } from "./index.ts";

export interface StateChange {
  readonly name: string;
  /** Undefined when the value is deleted. */
  readonly json: string | undefined;
}

interface StateParts {
  /** What is stored for the key of the event: JSON text by name. */
  readonly stored: ReadonlyMap<string, string>;
  /** What the handler has written so far. */
  readonly changes: StateChange[];
  readonly valueBytesMax: number;
  /** Counts against what one message may produce. */
  readonly spend: (text: string) => void;
}

export function createState({ stored, changes, valueBytesMax, spend }: StateParts): FunctionState {
  const write = (name: string, json: string | undefined): void => {
    spend(name + (json ?? ""));
    changes.push({ name, json });
  };
  const current = (): Map<string, string> => applyChanges(new Map(stored), changes);
  return {
    get<T>(name: string): Promise<T | undefined> {
      return Promise.resolve().then(() => {
        const json = current().get(checked(name));
        return json === undefined ? undefined : (JSON.parse(json) as T);
      });
    },
    list<T>(prefix = ""): Promise<Map<string, T>> {
      return Promise.resolve().then(() => {
        const found = [...current()].filter(([name]) => name.startsWith(prefix));
        return new Map(found.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, json]) => [name, JSON.parse(json) as T]));
      });
    },
    set(name, value): void {
      const json = jsonOf(value);
      if (Buffer.byteLength(json) > valueBytesMax) {
        throw new MillraceError("LIMIT_STATE", `the value of "${name}" is over limits.stateValue, ${formatSize(valueBytesMax)}`);
      }
      write(checked(name), json);
    },
    delete(name): void {
      write(checked(name), undefined);
    },
  };
}

/** Changes `stored`, and returns it. */
export function applyChanges(stored: Map<string, string>, changes: readonly StateChange[]): Map<string, string> {
  for (const { name, json } of changes) {
    if (json === undefined) stored.delete(name);
    else stored.set(name, json);
  }
  return stored;
}

/** @throws TypeError for what JSON cannot hold. */
export function jsonOf(value: JsonValue): string {
  const json = JSON.stringify(value) as string | undefined;
  if (json === undefined) throw new TypeError(`${typeof value} is not a JSON value`);
  return json;
}

function checked(name: string): string {
  if (name.length === 0 || name.length > 1_024 || !name.isWellFormed()) {
    throw new TypeError("the name of a state value is a text of 1 to 1,024 characters");
  }
  return name;
}
