import { parseTraceparent } from "../../core/trace-context.ts";
import type { TraceAnswer, TracedFunction, TracedMessage, TracedTry } from "../../core/traces.ts";
import { formatSize } from "../../core/units.ts";
import { count, printable, withFields } from "../terminal/text.ts";

/** A line of the tree, and what belongs below it. */
interface Branch {
  readonly text: string;
  readonly below: readonly Branch[];
}

/** What is known of messages, as lines for people. */
export function traceText({ messages, cut }: TraceAnswer): string {
  const lines = messages.flatMap((message) => drawn(messageBranch(message)));
  if (cut === true) lines.push("… and more messages of this trace");
  return lines.map((line) => `${line}\n`).join("");
}

function drawn({ text, below }: Branch): string[] {
  const lines = [printable(text)];
  below.forEach((branch, index) => {
    const isLast = index === below.length - 1;
    drawn(branch).forEach((line, at) => lines.push(`${at === 0 ? (isLast ? "└─ " : "├─ ") : isLast ? "   " : "│  "}${line}`));
  });
  return lines;
}

function messageBranch({ id, message, functions, derived, cut }: TracedMessage): Branch {
  const below = [...functions.map((each) => functionBranch(each)), ...derived.map((each) => messageBranch(each))];
  if (message !== undefined && functions.length === 0) below.push(leaf("no function listens to it"));
  if (cut === true) below.push(leaf("… and more that this led to"));
  return { text: message === undefined ? `${id}  the journal does not have it (any more)` : messageLine(id, message), below };
}

function messageLine(id: string, { topic, source, bytes, time, traceparent }: NonNullable<TracedMessage["message"]>): string {
  const trace = traceparent === undefined ? undefined : parseTraceparent(traceparent);
  const about = `${id}  ${topic}  ${formatSize(bytes)}  from ${source}  ${new Date(time).toISOString()}`;
  return trace === undefined ? about : `${about}  trace ${trace.traceId}`;
}

function functionBranch({ function: name, version, progress, tries, deadLetter, logs }: TracedFunction): Branch {
  const below: Branch[] = tries.map((one) =>
    tryBranch(
      one,
      logs.filter((line) => line.invocation.endsWith(`.${one.attempt}`)),
    ),
  );
  const recorded = new Set(tries.map(({ attempt }) => String(attempt)));
  for (const line of logs) if (!recorded.has(line.invocation.split(".")[1] ?? "")) below.push(logBranch(line, `#${line.invocation}  `));
  if (deadLetter !== undefined) {
    const { attempts, code, error } = deadLetter;
    below.push(leaf(`given up after ${count(attempts)} ${attempts === 1 ? "try" : "tries"}, see dead letters: ${code}: ${error}`));
  }
  return { text: `${name}${version === undefined ? "" : ` v${version}`}  ${stateOf(progress, tries, deadLetter !== undefined)}`, below };
}

function stateOf(progress: TracedFunction["progress"], tries: readonly TracedTry[], isDead: boolean): string {
  const last = tries.at(-1);
  if (last?.outcome === "done") return "handled";
  if (isDead || last?.outcome === "dead") return "given up";
  if (progress === "waiting") return last === undefined ? "waits for it, or handles it now" : "waits for its retry";
  if (progress === undefined) return last === undefined ? "does not listen to it now; not sampled" : "does not listen to it now";
  return "is done with it; not sampled, so its effects are not known";
}

function tryBranch(one: TracedTry, logs: TracedFunction["logs"]): Branch {
  const { attempt, arrived, sent, answered, committed, outcome, code } = one;
  const said = { done: "done", retry: "failed, to be retried", dead: "failed, given up" }[outcome];
  const times = [`${attempt === 1 ? "waited" : "since its arrival"} ${ms(sent - arrived)}`, `took ${ms(answered - sent)}`];
  if (committed !== undefined) times.push(`written after ${ms(committed - answered)}`);
  const text = `try ${attempt}  ${said}${code === undefined ? "" : `: ${code}`}  ${times.join(", ")}`;
  return { text, below: [...logs.map((line) => logBranch(line, "")), ...effects(one)] };
}

function effects({ state, events, publishes, more }: TracedTry): Branch[] {
  const lines: Branch[] = [];
  if (state.length > 0) lines.push(leaf(`state    ${state.join(", ")}${rest(more?.state)}`));
  for (const { id, type, cloud } of events) lines.push(leaf(`event    ${id}  ${type}  ${FATES[cloud]}`));
  if ((more?.events ?? 0) > 0) lines.push(leaf(`event   ${rest(more?.events)}`));
  for (const topic of publishes) lines.push(leaf(`publish  ${topic}`));
  if ((more?.publishes ?? 0) > 0) lines.push(leaf(`publish ${rest(more?.publishes)}`));
  return lines;
}

const FATES = {
  waiting: "waits for the cloud",
  uploaded: "in the cloud",
  gone: "in the cloud, or expired or replaced as its outbox rule says",
  dropped: "dropped, the outbox had no room for it",
} as const;

function rest(more: number | undefined): string {
  return more === undefined || more === 0 ? "" : ` and ${count(more)} more`;
}

function logBranch({ level, message, fields }: TracedFunction["logs"][number], before: string): Branch {
  return leaf(`${before}${level.padEnd(7)}  ${withFields(message, fields)}`);
}

function leaf(text: string): Branch {
  return { text, below: [] };
}

function ms(value: number): string {
  const shown = Math.max(0, value);
  return shown < 10 ? `${shown.toFixed(2)} ms` : shown < 10_000 ? `${Math.round(shown)} ms` : `${(shown / 1_000).toFixed(1)} s`;
}
