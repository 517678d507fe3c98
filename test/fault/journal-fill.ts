/**
 * A process that appends to the journal in the folder it is given until the disk takes no more, and prints what it was told:
 * `node journal-fill.ts FOLDER`.
 */
import { messageOf, MillraceError } from "../../src/core/errors.ts";
import { Journal } from "../../src/journal/journal.ts";
import { append, entryOf } from "../support/journal.ts";

const MESSAGES_MAX = 20_000;
const codeOf = (error: unknown): string => (error instanceof MillraceError ? error.code : `untyped: ${messageOf(error)}`);

const journal = await Journal.open({ location: process.argv[2] ?? "", batchMax: 64 });
let acknowledged = 0;
let failure = "none";
while (acknowledged < MESSAGES_MAX && failure === "none") {
  const settled = await Promise.allSettled(
    Array.from({ length: 20 }, (_, i) => append(journal, entryOf("t", String(acknowledged + i + 1).padEnd(2_000, ".")))),
  );
  acknowledged += settled.filter((result) => result.status === "fulfilled").length;
  const refused = settled.find((result) => result.status === "rejected");
  if (refused !== undefined) failure = codeOf(refused.reason);
}
const told = {
  acknowledged,
  failure,
  stopped: await journal.stopped.then(() => "as told", codeOf),
  later: await append(journal, entryOf("t", "x")).then(() => "taken", codeOf),
};
process.stdout.write(JSON.stringify(told));
process.exit(0);
