import { formatDuration } from "../core/units.ts";
import type { Command, FlagSpec } from "./command.ts";
import { COMMON_FLAGS, usageLine } from "./flags.ts";

export function overview(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  return [
    "millrace: sensor messages over MQTT, through functions on the gateway, to the cloud",
    "",
    "usage: millrace COMMAND [arguments]",
    "",
    ...commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    "",
    "  millrace help COMMAND   the flags of a command, with examples",
    "  millrace --version      the version",
    "",
  ].join("\n");
}

export function commandHelp(command: Command): string {
  const rows = flagRows(command);
  const width = Math.max(...rows.map(({ left }) => left.length));
  const sections = [
    `millrace ${command.name}: ${command.summary}`,
    `usage: ${usageLine(command)}`,
    rows.map(({ left, right }) => `  ${left.padEnd(width)}  ${right}`).join("\n"),
  ];
  if (command.details !== undefined) sections.push(command.details.trim());
  if (command.examples !== undefined) sections.push(`examples:\n${command.examples.map((line) => `  ${line}`).join("\n")}`);
  return `${sections.join("\n\n")}\n`;
}

/** One row for each flag, `--name VALUE` on the left and what it is on the right; the common flags come last. */
export function flagRows(command: Command): readonly { left: string; right: string }[] {
  return Object.entries<FlagSpec>({ ...command.flags, ...COMMON_FLAGS }).map(([name, spec]) => ({
    left: leftOf(name, spec),
    right: spec.description + remarks(spec),
  }));
}

function leftOf(name: string, spec: FlagSpec): string {
  const short = spec.short === undefined ? "" : `-${spec.short}, `;
  if (spec.type === "boolean") return `${short}--${spec.default === true ? `no-${name}` : name}`;
  return `${short}--${name} ${spec.value ?? PLACEHOLDER[spec.type]}`;
}

const PLACEHOLDER = { string: "TEXT", number: "N", duration: "DURATION", list: "TEXT" } as const;

function remarks(spec: FlagSpec): string {
  const parts: string[] = [];
  if (spec.choices !== undefined) parts.push(spec.choices.join(" | "));
  if (spec.unit !== undefined) parts.push(spec.unit);
  if (spec.type === "list") parts.push("may be repeated");
  if (spec.type === "duration" && typeof spec.default === "number") parts.push(`default ${formatDuration(spec.default)}`);
  else if (spec.type !== "boolean" && spec.default !== undefined && spec.default !== "") parts.push(`default ${spec.default}`);
  return parts.length === 0 ? "" : ` (${parts.join("; ")})`;
}
