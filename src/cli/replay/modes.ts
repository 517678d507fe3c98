import { MillraceError } from "../../core/errors.ts";
import type { FlagTable, FlagValues } from "../command.ts";

/** What `replay` is asked to do: publish rows, publish a recording, or hand recorded messages to a function, for a look or for good. */
export type Mode = "csv" | "recording" | "function" | "commit";

const PUBLISHING = ["broker", "topic", "rate", "speed", "qos", "limit", "retain", "in-flight", "patience", "client-id", "dry-run"];

const SELECTING = ["topic", "from", "to", "limit", "function", "gateway"];

const APPLIES: Readonly<Record<Mode, { readonly what: string; readonly flags: ReadonlySet<string> }>> = {
  csv: { what: "a CSV file", flags: new Set([...PUBLISHING, "set", "key", "time", "from-row", "strings", "delimiter"]) },
  recording: { what: "a recording", flags: new Set([...PUBLISHING, "from", "to"]) },
  function: { what: "--function", flags: new Set([...SELECTING, "state", "control"]) },
  commit: { what: "--commit", flags: new Set([...SELECTING, "rate", "commit"]) },
};

/** @throws MillraceError USAGE */
export function modeOf(file: string | undefined, flags: { readonly function: string | undefined; readonly commit: boolean }): Mode {
  const isRecording = file !== undefined && /\.(jsonl|ndjson)$/i.test(file);
  if (flags.function !== undefined) {
    if (file === undefined || isRecording) return flags.commit ? "commit" : "function";
    throw new MillraceError("USAGE", `replay: --function reads recordings (.jsonl) and the journal of a gateway, not ${file}`);
  }
  if (file === undefined) {
    throw new MillraceError("USAGE", "replay: name a file to publish, or with --function a function to try on the journal of a gateway");
  }
  return isRecording ? "recording" : "csv";
}

/** A flag that does nothing here would be a misunderstanding. @throws MillraceError USAGE */
export function checkFlags(mode: Mode, table: FlagTable, values: FlagValues<FlagTable>): void {
  const { what, flags } = APPLIES[mode];
  for (const [name, spec] of Object.entries(table)) {
    const value: unknown = values[name];
    const given = Array.isArray(value) ? value.length > 0 : value !== spec.default && value !== false && value !== undefined;
    if (given && !flags.has(name)) throw new MillraceError("USAGE", `replay: --${name} does not go with ${what}`);
  }
}
