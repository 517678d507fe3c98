import type { FunctionStats } from "../../core/stats.ts";
import { clip, printable } from "../terminal/text.ts";
import type { DevState, Note } from "./model.ts";
import { clockTime, type Colour, elapsed, type Paint, plain, shortCount, sparkline } from "./style.ts";

export interface PanelSize {
  readonly width: number;
  readonly height: number;
}

const WIDTH_MAX = 110;
const NARROW = 72;
const NOTES_WANTED = 6;

/** The live picture of `millrace dev`: what `state` looks like in `size`, one entry for each line, none wider than the terminal. */
export function panel(state: DevState, size: PanelSize, paint: Paint): string[] {
  if (size.width >= NARROW) return wide(state, size, paint);
  // Too narrow for columns: the same text, cut off, and without colours, whose codes must not be cut.
  return wide(state, { ...size, width: NARROW }, plain).map((line) => clip(line, Math.max(1, size.width - 1)));
}

function wide(state: DevState, size: PanelSize, paint: Paint): string[] {
  const width = Math.min(size.width, WIDTH_MAX) - 1;
  const fixed = [...heading(state, width, paint), "", ...journey(state, width, paint), ""];
  const functions = functionLines(state, width, paint);
  const footer = ["", paint("dim", clip(footerText(state), width))];
  const room = size.height - 1 - fixed.length - footer.length;
  const shown = fit(functions, Math.max(2, room - 1 - Math.min(NOTES_WANTED, state.notes.length)), paint);
  const notes = noteLines(state.notes, width, paint).slice(-Math.max(0, Math.min(NOTES_WANTED, room - shown.length - 1)));
  const lines = [...fixed, ...shown, ...(notes.length === 0 ? [] : ["", ...notes]), ...footer];
  return lines.slice(0, Math.max(1, size.height - 1));
}

function heading(state: DevState, width: number, paint: Paint): string[] {
  const title = " millrace dev";
  const right = `up ${elapsed(state.now - state.startedAt)}`;
  const gap = " ".repeat(Math.max(1, width - title.length - right.length));
  const { addresses } = state;
  const rule = paint("dim", "─".repeat(width));
  const first = `${paint("bold", title)}${gap}${paint("dim", right)}`;
  if (addresses === undefined) return [first, rule, paint("dim", " starting …")];
  const half = Math.floor(width / 2);
  const pair = (label: string, value: string, room: number): string => {
    const text = clip(value, room - 11);
    return ` ${paint("dim", label.padEnd(9))} ${paint("cyan", text)}${" ".repeat(Math.max(0, room - 11 - text.length))}`;
  };
  return [
    first,
    rule,
    `${pair("sensors", addresses.mqtt, half)}${pair("gateway", addresses.http, width - half)}`.trimEnd(),
    `${pair("cloud", addresses.control, half)}${pair("data", state.data, width - half)}`.trimEnd(),
  ];
}

interface Station {
  readonly name: string;
  readonly figure: string;
  readonly what: string;
  readonly remark: string;
  readonly colour?: Colour | undefined;
}

/** The way of a message from left to right, with what has come past each station. */
function journey(state: DevState, width: number, paint: Paint): string[] {
  const stations = stationsOf(state);
  const column = Math.floor(width / stations.length);
  const arrow = " ──▶ ";
  const row = (cell: (station: Station, index: number) => string): string => stations.map(cell).join("").trimEnd();
  const pad = (text: string): string => ` ${clip(text, column - 2)}`.padEnd(column);
  const lines = [
    row(({ name }) => paint("dim", pad(name))),
    row(({ figure }, index) => {
      const tail = index === stations.length - 1 ? "" : arrow;
      const room = column - 1 - tail.length;
      return ` ${paint("bold", clip(figure, room).padEnd(room))}${paint("dim", tail)}`;
    }),
    row(({ what }) => paint("dim", pad(what))),
    row(({ remark, colour }) => (colour === undefined ? pad(remark) : paint(colour, pad(remark)))),
  ];
  return [...lines, "", rateLine(state, width, paint)];
}

function stationsOf({ gateway, gatewayAnswers, stored, devices, history }: DevState): readonly Station[] {
  const sum = (of: (each: FunctionStats) => number): number => (gateway?.functions ?? []).reduce((total, each) => total + of(each), 0);
  const failed = sum((each) => each.failed);
  const backlog = sum((each) => each.backlog);
  const link = gateway?.link.connected === true && gatewayAnswers;
  const rate = history.at(-1) ?? 0;
  const rejected = gateway?.outbox.rejected ?? 0;
  return [
    {
      name: "sensors",
      figure: `${rate < 1_000 ? rate.toFixed(1) : shortCount(rate)}/s`,
      what: "messages",
      remark: devices === undefined ? `${gateway?.broker.clients ?? 0} clients` : `${devices} simulated`,
    },
    {
      name: "broker",
      figure: shortCount(gateway?.broker.received ?? 0),
      what: "messages in",
      remark: gatewayAnswers ? "● up" : "● down",
      colour: gatewayAnswers ? "green" : "red",
    },
    {
      name: "functions",
      figure: shortCount(sum((each) => each.handled)),
      what: "handled",
      remark: `${shortCount(failed)} failed`,
      colour: failed > 0 ? "yellow" : undefined,
    },
    {
      name: "outbox",
      figure: shortCount(gateway?.outbox.pending ?? 0),
      what: "pending",
      remark: backlog > 0 ? `${shortCount(backlog)} backlog` : "",
    },
    {
      name: "cloud",
      figure: stored === undefined ? "–" : shortCount(stored),
      what: "events stored",
      remark: rejected > 0 ? `${shortCount(rejected)} rejected` : link ? "● link up" : "● link down",
      colour: rejected > 0 ? "yellow" : link ? "green" : "red",
    },
  ];
}

function rateLine({ history }: DevState, width: number, paint: Paint): string {
  const bars = history.slice(-Math.max(1, Math.min(60, width - 30)));
  const top = Math.max(0, ...bars);
  return ` ${paint("cyan", sparkline(bars))}${paint("dim", `${bars.length === 0 ? "" : "  "}messages/s, at most ${shortCount(top)}`)}`;
}

const NUMBER_WIDTH = 10;

function functionLines(state: DevState, width: number, paint: Paint): string[] {
  const functions = state.gateway?.functions ?? [];
  const names = new Set(functions.map(({ name }) => name));
  const unbuilt = [...state.broken.keys()].filter((name) => !names.has(name));
  const nameWidth = Math.max(16, Math.min(34, width - 9 - 11 - 3 * NUMBER_WIDTH - 2));
  const head = ` ${"FUNCTION".padEnd(nameWidth)} ${"VERSION".padEnd(8)} ${"STATE".padEnd(9)}`;
  const numbers = ["HANDLED", "FAILED", "BACKLOG"].map((text) => text.padStart(NUMBER_WIDTH)).join("");
  const lines = [paint("dim", head + numbers)];
  if (functions.length + unbuilt.length === 0) lines.push(paint("dim", ` none yet; put one into ${state.functionsDir}/`));
  for (const each of functions) lines.push(functionLine(each, state.broken.get(each.name), nameWidth, paint));
  for (const name of unbuilt) lines.push(` ${clip(name, nameWidth).padEnd(nameWidth)} ${"–".padEnd(8)} ${paint("red", "no build")}`);
  return lines;
}

function numberCell(value: number): string {
  return shortCount(value).padStart(NUMBER_WIDTH);
}

/** As much as the column takes. */
const SHORT = { failed: "failed", quarantined: "shut away" } as const;

function functionLine(each: FunctionStats, broken: string | undefined, nameWidth: number, paint: Paint): string {
  const [state, colour]: [string, Colour] =
    broken !== undefined ? ["no build", "red"] : each.state === "active" ? ["active", "green"] : [SHORT[each.state], "red"];
  const failed = numberCell(each.failed);
  return [
    ` ${clip(each.name, nameWidth).padEnd(nameWidth)} ${`v${each.version}`.padEnd(8)} `,
    paint(colour, state.padEnd(9)),
    numberCell(each.handled),
    each.failed > 0 ? paint("yellow", failed) : failed,
    numberCell(each.backlog),
  ].join("");
}

function fit(lines: readonly string[], room: number, paint: Paint): readonly string[] {
  if (lines.length <= room) return lines;
  return [...lines.slice(0, room - 1), paint("dim", ` … and ${lines.length - room + 1} more`)];
}

const NOTE_COLOURS: Readonly<Record<Note["level"], Colour | undefined>> = { info: undefined, warn: "yellow", error: "red" };

function noteLines(notes: readonly Note[], width: number, paint: Paint): string[] {
  return notes.map(({ time, level, text }) => {
    const line = clip(printable(text), width - 10);
    const colour = NOTE_COLOURS[level];
    return ` ${paint("dim", clockTime(time))} ${colour === undefined ? line : paint(colour, line)}`;
  });
}

function footerText({ phase, watching, functionsDir, data }: DevState): string {
  if (phase === "stopping") return " stopping …";
  if (phase === "stopped") return ` stopped; the data stays in ${data}/`;
  return ` Ctrl-C to stop${watching ? ` · a change in ${functionsDir}/ is published at once` : ""}`;
}
