import type { InvokeResult } from "../../core/stats.ts";
import { SHARED_KEY } from "../../core/state-value.ts";
import { printable, withFields } from "../terminal/text.ts";

/** What one message did, for a person: a heading for each kind of effect that there is, and how it ended. */
export function effectsText(name: string, result: InvokeResult): string {
  const { state, publishes, events, logs, answer } = result;
  return [
    section(
      "logs",
      logs.map(({ level, message, fields }) => `${level.padEnd(5)}  ${withFields(message, fields)}`),
    ),
    section("state", state.map(stateText)),
    section("publishes", publishes.map(publishText)),
    section("events", events.map(eventText)),
    section("answer", answer === undefined ? [] : answerLines(answer)),
    ending(name, result),
  ].join("");
}

/** The same as single lines, each beginning with its kind; for many messages in a row. */
export function effectLines({ error, state, publishes, events, logs }: InvokeResult): string[] {
  return [
    ...logs.map(({ level, message, fields }) => `log      ${level}  ${withFields(message, fields)}`),
    ...state.map((write) => `state    ${stateText(write)}`),
    ...publishes.map((publish) => `publish  ${publishText(publish)}`),
    ...events.map((event) => `event    ${eventText(event)}`),
    ...(error === undefined ? [] : [`error    ${error.code}: ${error.message}`]),
  ];
}

function answerLines({ status, headers, body }: NonNullable<InvokeResult["answer"]>): string[] {
  return [String(status), ...headers.map(([name, value]) => `${name}: ${value}`), ...(body === "" ? [] : [body])];
}

function stateText({ key, name, value }: InvokeResult["state"][number]): string {
  return `${key === SHARED_KEY ? "(shared)" : key}  ${name} ${value === undefined ? "deleted" : `= ${JSON.stringify(value)}`}`;
}

function publishText({ topic, payload, qos, retain }: InvokeResult["publishes"][number]): string {
  return `${topic}  ${payload}  (QoS ${qos}${retain ? ", retained" : ""})`;
}

function eventText({ type, subject, data }: InvokeResult["events"][number]): string {
  return `${type}  ${subject}  ${JSON.stringify(data)}`;
}

function section(title: string, lines: readonly string[]): string {
  return lines.length === 0 ? "" : `${title}\n${lines.map((line) => `  ${printable(line)}\n`).join("")}`;
}

function ending(name: string, { ok, error, durationMs, answer, ...effects }: InvokeResult): string {
  const ms = `${durationMs.toFixed(durationMs < 10 ? 1 : 0)} ms`;
  if (ok) {
    const idle = answer === undefined && Object.values(effects).every((list) => list.length === 0);
    return `${name}: ok in ${ms}${idle ? ", no effects" : "; nothing of this was committed"}\n`;
  }
  const message = error === undefined ? "no reason given" : `${error.code}: ${error.message}`;
  // The stack begins with the message, which stands on the line above it already.
  const frames = (error?.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line));
  return [`${name}: failed in ${ms}: ${message}`, ...frames].map((line) => `${line}\n`).join("");
}
