/** What one flag of a command looks like. The key of the table is the long name, without dashes. */
export interface FlagSpec {
  /** `duration` is written `20ms`, `5s`, `1h` and arrives in milliseconds; `list` may be given several times; the rest is what it says. */
  readonly type: "string" | "boolean" | "number" | "duration" | "list";
  /** One letter, for `-f`. */
  readonly short?: string;
  /** Used when the flag is not given. A boolean without one is false, a list without one is empty, any other is undefined. */
  readonly default?: string | boolean | number;
  /** Unit of a number, for the help text: `messages/s`. */
  readonly unit?: string;
  /** What stands for the value in the help text: `URL`, `FILE`. */
  readonly value?: string;
  /** The only values that a string or list may have. */
  readonly choices?: readonly string[];
  /** Bounds of a number, both included. */
  readonly min?: number;
  readonly max?: number;
  /** A number that may have a fraction; without this only whole numbers are taken. */
  readonly fraction?: true;
  readonly description: string;
}

export type FlagTable = Readonly<Record<string, FlagSpec>>;

type Defaulted<S extends FlagSpec, T> = S extends { readonly default: string | number | boolean } ? T : T | undefined;

type FlagValue<S extends FlagSpec> = S["type"] extends "boolean"
  ? boolean
  : S["type"] extends "list"
    ? readonly string[]
    : S["type"] extends "number" | "duration"
      ? Defaulted<S, number>
      : Defaulted<S, string>;

/** The values of the flags, typed by their table: `flags["mqtt-port"]` is `number | undefined`. */
export type FlagValues<F extends FlagTable> = { readonly [K in keyof F]: FlagValue<F[K]> };

/** Everything a command may touch of the process it runs in. */
export interface CommandIo {
  /** Writes text as it is; the caller ends its lines. */
  stdout(text: string): void;
  stderr(text: string): void;
  /** Aborts on SIGINT, SIGTERM and when nobody reads standard output any more. The command then closes in order and returns. */
  readonly signal: AbortSignal;
  /** Calls back on SIGHUP, which ends the process while nobody has asked for it. Undefined where there are no signals. */
  readonly onHangUp?: (reload: () => void) => Disposable;
  /** Standard output is a terminal. */
  readonly tty: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface CommandContext<F extends FlagTable = FlagTable> extends CommandIo {
  readonly flags: FlagValues<F>;
  readonly positionals: readonly string[];
  /** `--json` was given: standard output is for a program to read. */
  readonly json: boolean;
}

/** One verb of the program. `--json` and `--help` belong to every command and stand in no table. */
export interface Command<F extends FlagTable = FlagTable> {
  readonly name: string;
  /** One line that starts with a small letter and has no full stop. */
  readonly summary: string;
  /** What follows `millrace NAME`: `FILE.csv --topic TOPIC [flags]`. */
  readonly usage: string;
  /** How many positional arguments it takes; none by default. */
  readonly positionals?: { readonly min: number; readonly max: number };
  readonly flags: F;
  /** What the help text says below the flags: behaviour, exit codes. */
  readonly details?: string;
  /** Complete command lines for the help text. */
  readonly examples?: readonly string[];
  /** Returns the exit code. Throw a MillraceError for an operating error; anything else that is thrown counts as a bug. */
  run(context: CommandContext<F>): Promise<number>;
}

/** Gives `run` the types of its own flag table. */
export function defineCommand<const F extends FlagTable>(command: Command<F>): Command {
  return command;
}
