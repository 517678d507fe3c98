import { access } from "node:fs/promises";
import { join, resolve } from "node:path";
import { MillraceError } from "../../core/errors.ts";
import { formatSize } from "../../core/units.ts";
import { inspect, type Inspection } from "../../journal/inspect.ts";
import { Mirror } from "../../journal/mirror.ts";
import { count, table } from "../terminal/text.ts";
import { fail, type Finding, ok, skipped, warn } from "./finding.ts";

export interface JournalFinding {
  readonly finding: Finding;
  readonly journal?: Inspection;
}

/** Looks into the journal of a gateway that is not running, without changing it. `used` says who has it when somebody does. */
export async function checkJournal(data: string, used: string | undefined): Promise<JournalFinding> {
  const check = "journal";
  const location = join(resolve(data), "journal");
  if (!(await exists(location))) return { finding: ok(check, "there is none yet") };
  if (used !== undefined) return { finding: skipped(check, `DATA_LOCKED: ${used}; stop the gateway to look into its journal`) };
  try {
    await using mirror = await Mirror.open(location);
    const found = await inspect(mirror.database);
    const journal = { ...found, problems: [...mirror.problems, ...found.problems] };
    return { finding: findingOf(journal), journal };
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error;
    return { finding: fail(check, error.message, error.hint) };
  }
}

function findingOf(journal: Inspection): Finding {
  const { messages, problems, closed } = journal;
  const range = messages.first === undefined ? "" : `, seq ${messages.first} to ${messages.last}`;
  const text = `${count(messages.count)} messages${range}; ${closed ? "closed properly" : "not closed: the process was killed or the power failed"}`;
  if (problems.length === 0) return ok("journal", text);
  return warn(
    "journal",
    `${text}; ${problems.join("; ")}`,
    "Keep a copy of the folder; the next start repairs what it can and says so in its log.",
  );
}

export function journalText({ messages, bytes, events, publishes, qos2, functions }: Inspection): string {
  const lines = [
    ...(messages.count === 0 ? [] : [`messages from ${timeOf(messages.from)} to ${timeOf(messages.to)}`]),
    `${count(events)} events wait for the cloud, ${count(publishes)} publishes for subscribers, ${count(qos2)} QoS 2 messages for their release`,
    Object.entries(bytes)
      .map(([kind, amount]) => `${kind} ${formatSize(amount)}`)
      .join(", "),
  ];
  const rows = functions.map((each) => [
    each.name,
    each.version === undefined ? "" : `v${each.version}`,
    each.floor === undefined ? "" : String(each.floor),
    count(each.backlog),
    count(each.keysAside),
    formatSize(each.stateBytes),
    count(each.deadLetters),
  ]);
  const head = ["function", "version", "cursor", "backlog", "keys aside", "state", "dead"];
  return `\n${lines.join("\n")}\n${rows.length === 0 ? "" : `\n${table(head, rows, head.slice(2))}`}`;
}

function timeOf(ms: number | undefined): string {
  return ms === undefined ? "" : new Date(ms).toISOString();
}

async function exists(folder: string): Promise<boolean> {
  return access(folder).then(
    () => true,
    () => false,
  );
}
