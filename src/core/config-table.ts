interface Common<T> {
  readonly default: T;
  /** Stands in documents for a default that depends on the machine. */
  readonly defaultText?: string;
  /** What it is and what happens at the bound, as sentences. */
  readonly description: string;
}

interface TextSetting extends Common<string> {
  readonly type: "string";
  readonly choices?: readonly string[];
  /** What is wrong with a text, or undefined when nothing is. */
  readonly check?: (text: string) => string | undefined;
}

interface Bounded extends Common<number> {
  /** Both included. */
  readonly min: number;
  readonly max: number;
}

interface NumberSetting extends Bounded {
  readonly type: "int";
  readonly unit?: string;
}

/** A duration is written `20ms` and kept in milliseconds, a size is written `64MB` and kept in bytes. */
interface MeasureSetting extends Bounded {
  readonly type: "duration" | "size";
}

interface ListSetting extends Common<readonly string[]> {
  readonly type: "list";
}

interface MapSetting extends Common<Readonly<Record<string, string>>> {
  readonly type: "map";
}

export type PlainSetting = TextSetting | NumberSetting | MeasureSetting | ListSetting | MapSetting;

/** Any number of entries with the same keys: `mqtt.listeners.NAME.port`. */
export interface GroupSetting {
  readonly type: "group";
  readonly description: string;
  /** The keys of an entry, none of them with a dot. */
  readonly of: Readonly<Record<string, PlainSetting>>;
  /** Names that no entry may have. */
  readonly reserved: readonly string[];
  readonly default: Readonly<Record<string, never>>;
  /** What is wrong with an entry as a whole, when every key is right by itself; `given` are the keys that are not the default. */
  readonly check: (entry: Readonly<Record<string, unknown>>, given: readonly string[]) => string[];
}

export type Setting = PlainSetting | GroupSetting;

/** All settings of one program by dotted name: `mqtt.port`. */
export type ConfigTable = Readonly<Record<string, Setting>>;

type Head<K extends string> = K extends `${infer H}.${string}` ? H : K;
type ValueOf<S extends Setting> = S extends { readonly type: "group"; readonly of: infer Of extends Readonly<Record<string, PlainSetting>> }
  ? Readonly<Record<string, { readonly [K in keyof Of]: ValueOf<Of[K]> }>>
  : S["type"] extends "string"
    ? S extends { readonly choices: readonly (infer Choice)[] }
      ? Choice
      : string
    : S["type"] extends "list"
      ? readonly string[]
      : S["type"] extends "map"
        ? Readonly<Record<string, string>>
        : number;

/** The values of a table as nested objects: `mqtt.port` of the table is `config.mqtt.port`. */
export type ConfigOf<T extends ConfigTable> = {
  readonly [H in Head<keyof T & string>]: H extends keyof T
    ? ValueOf<T[H]>
    : ConfigOf<{ readonly [K in keyof T & string as K extends `${H}.${infer Tail}` ? Tail : never]: T[K] }>;
};
