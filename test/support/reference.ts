import type { Command } from "../../src/cli/command.ts";
import { usageLine } from "../../src/cli/flags.ts";
import { flagRows } from "../../src/cli/help.ts";
import { environmentName } from "../../src/core/config.ts";
import type { ConfigTable, PlainSetting } from "../../src/core/config-table.ts";
import { showRange, showValue } from "../../src/core/config-value.ts";
import { ERRORS } from "../../src/core/errors.ts";
import { BUCKETS_MS } from "../../src/core/histogram.ts";
import { FAMILIES } from "../../src/http/metrics.ts";

/** docs/reference/configuration.md, from the tables that the programs read their configuration with. */
export function configurationPage(programs: readonly { title: string; command: string; table: ConfigTable }[]): string {
  return page([
    "# Configuration",
    `Every setting has a default, so a program runs without any configuration. A value comes from the first of these that has it: a flag of the
command line, an environment variable, the file named by \`--config\`, the default. The file is YAML; keys are nested or dotted, so
\`mqtt: {port: 1883}\` and \`mqtt.port: 1883\` are the same. A key or a \`MILLRACE_…\` variable that does not exist is an error, and all mistakes
are reported at once. \`--check\` validates everything and starts nothing.`,
    `Sizes are written \`64KB\`, \`1MB\`, \`2GB\` (powers of 1,024), durations \`500ms\`, \`20s\`, \`5m\`. In a variable a list is \`a,b\` and a map
\`site=milan,ring=canary\`. A folder that is not absolute is taken from where the program was started.`,
    ...programs.flatMap(({ title, command, table }) => [`## ${title}`, `\`${command}\``, ...settings(table)]),
  ]);
}

function settings(table: ConfigTable): string[] {
  const rows = Object.entries(table).map(([name, setting]) =>
    setting.type === "group"
      ? [`\`${name}\``, setting.description, `keys below it, by name; see [${name}](#${name.replaceAll(".", "")})`, "none"]
      : settingRow(name, setting),
  );
  const groups = Object.entries(table).flatMap(([name, setting]) =>
    setting.type === "group"
      ? [
          `### ${name}`,
          setting.description,
          grid(
            HEADS,
            Object.entries(setting.of).map(([key, inner]) => settingRow(`${name}.NAME.${key}`, inner)),
          ),
        ]
      : [],
  );
  return [grid(HEADS, rows), ...groups];
}

const HEADS = ["setting", "what it is", "value", "default"];

function settingRow(name: string, setting: PlainSetting): string[] {
  return [
    `\`${name}\``,
    `${setting.description} \`${environmentName(name)}\``,
    kind(setting),
    code(showValue(setting), setting.defaultText === undefined),
  ];
}

function kind(setting: PlainSetting): string {
  if (setting.type === "string") return setting.choices?.map((choice) => `\`${choice}\``).join(", ") ?? "text";
  if (setting.type === "list" || setting.type === "map") return setting.type;
  const unit = setting.type === "int" ? setting.unit : setting.type;
  return `${showRange(setting)}${unit === undefined ? "" : ` (${unit})`}`;
}

/** docs/reference/cli.md, from the flag tables of the commands. */
export function cliPage(commands: readonly Command[]): string {
  return page([
    "# Commands",
    `Exit codes: 0 done, 1 failed, 2 the command line is wrong, 70 a bug in Millrace, 130 interrupted. Errors go to standard error as
\`error CODE: message\` and a hint; the codes are in [errors.md](errors.md). With \`--json\` standard output is for a program to read, and an
error is one object \`{"error": {"code", "message", "hint"}}\` on standard error.`,
    grid(
      ["command", "what it does"],
      commands.map(({ name, summary }) => [`[\`${name}\`](#${name})`, summary]),
    ),
    ...commands.flatMap(commandSection),
  ]);
}

function commandSection(command: Command): string[] {
  const { name, summary, details, examples } = command;
  return [
    `## ${name}`,
    `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`,
    fence(usageLine(command)),
    grid(
      ["flag", "what it does"],
      flagRows(command).map(({ left, right }) => [`\`${left}\``, right]),
    ),
    ...(details === undefined ? [] : [details.trim()]),
    ...(examples === undefined ? [] : [fence(examples.join("\n"))]),
  ];
}

/** docs/reference/errors.md, from the catalogue. */
export function errorsPage(): string {
  return page([
    "# Errors",
    `The codes are part of the interface: scripts may match on them, and a code never changes its meaning. The message, which is not listed here,
says what happened to which thing; the hint says what to try.`,
    grid(
      ["code", "hint"],
      Object.entries(ERRORS).map(([name, hint]) => [`\`${name}\``, hint]),
    ),
  ]);
}

/** docs/reference/metrics.md, from the table that /metrics is written with. */
export function metricsPage(): string {
  return page([
    "# Metrics",
    `A gateway answers at \`/metrics\` of its HTTP in the text format of Prometheus. The same figures are in \`millrace stats\` and at \`/v1/stats\`.
Counters begin with the process. Those with the label \`version\` begin with the version, and only the one that runs is there; all others go on
over versions. There are as many series as functions; \`code\` is one of [errors.md](errors.md), \`reason\` and \`phase\` have a few fixed values.`,
    `The buckets of histograms are ${BUCKETS_MS.map((ms) => `\`${ms / 1_000}\``).join(", ")} and \`+Inf\` seconds. Times
are measured for each batch and divided by its messages, up to 256 of them: a single slow message in a batch of quick ones shows in the sum,
and not in the quantiles. A function that is not busy has batches of one message. What was under way when a host process died is in the
errors, and not in the times.`,
    grid(
      ["metric", "type", "labels", "what it is"],
      FAMILIES.map(({ name, type, labels, help }) => [
        `\`millrace_${name}\``,
        type,
        labels.map((label) => `\`${label}\``).join(", "),
        help,
      ]),
    ),
  ]);
}

function page(parts: readonly string[]): string {
  return `${parts.join("\n\n")}\n`;
}

function fence(text: string): string {
  return `\`\`\`sh\n${text}\n\`\`\``;
}

function code(text: string, literal: boolean): string {
  return literal && text !== "" ? `\`${text}\`` : text;
}

function grid(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [row(head), `|${"---|".repeat(head.length)}`, ...rows.map(row)].join("\n");
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`;
}
