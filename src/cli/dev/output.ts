import type { CommandIo } from "../command.ts";
import type { DevModel, DevState, Note } from "./model.ts";
import { panel } from "./panel.ts";
import { Screen } from "./screen.ts";
import { clockTime, coloured, plain } from "./style.ts";

const DRAW_MS = 200;
const SUMMARY_MS = 5_000;

/** How `dev` shows itself, from the first line to the last. */
export interface Output extends Disposable {
  note(note: Note): void;
  /** Everything runs. */
  ready(state: DevState): void;
  /** The model is complete enough to be shown again and again. */
  start(model: DevModel): void;
}

export function createOutput(io: CommandIo & { json: boolean }): Output {
  if (io.json) return jsonOutput(io);
  return io.tty && io.env["TERM"] !== "dumb" ? panelOutput(io) : lineOutput(io);
}

/** Until there is something to see. */
function drawNothing(): void {}

function panelOutput(io: CommandIo): Output {
  const paint = (io.env["NO_COLOR"] ?? "") === "" ? coloured : plain;
  const screen = new Screen(process.stdout, (text) => io.stdout(text));
  let draw = drawNothing;
  let timer: NodeJS.Timeout | undefined;
  return {
    note: () => draw(),
    ready: () => draw(),
    start: (model) => {
      draw = () => screen.draw(panel({ ...model.state, now: Date.now() }, screen.size, paint));
      draw();
      timer = setInterval(draw, DRAW_MS);
    },
    [Symbol.dispose]: () => {
      clearInterval(timer);
      draw();
      screen[Symbol.dispose]();
    },
  };
}

function lineOutput(io: CommandIo): Output {
  let timer: NodeJS.Timeout | undefined;
  const line = (time: number, text: string): void => io.stdout(`${clockTime(time)}  ${text}\n`);
  return {
    note: ({ time, level, text }) => line(time, level === "info" ? text : `${level}: ${text}`),
    ready: (state) => {
      const { addresses } = state;
      if (addresses !== undefined) {
        line(Date.now(), `ready: sensors ${addresses.mqtt}, gateway ${addresses.http}, cloud ${addresses.control}, data ${state.data}`);
      }
    },
    start: (model) => {
      timer = setInterval(() => line(Date.now(), summary(model.state)), SUMMARY_MS);
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

/** One JSON object on each line: `{"type": "ready" | "note" | "stats", …}`. */
function jsonOutput(io: CommandIo): Output {
  let timer: NodeJS.Timeout | undefined;
  const line = (value: object): void => io.stdout(`${JSON.stringify(value)}\n`);
  return {
    note: (note) => line({ type: "note", ...note }),
    ready: ({ addresses, data }) => line({ type: "ready", addresses, data, pid: process.pid }),
    start: (model) => {
      timer = setInterval(() => {
        const { gateway, stored, gatewayAnswers } = model.state;
        line({ type: "stats", gatewayAnswers, stored, gateway });
      }, SUMMARY_MS);
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

/** The figures of the panel in one line. */
export function summary({ gateway, gatewayAnswers, stored, history }: DevState): string {
  if (gateway === undefined) return "the gateway has not answered yet";
  const { broker, outbox, link, functions } = gateway;
  const handled = functions.reduce((sum, each) => sum + each.handled, 0);
  const failed = functions.reduce((sum, each) => sum + each.failed, 0);
  return [
    `in ${broker.received} (${(history.at(-1) ?? 0).toFixed(1)}/s)`,
    `handled ${handled}`,
    `failed ${failed}`,
    `stored in the cloud ${stored ?? "unknown"}`,
    `pending ${outbox.pending}`,
    gatewayAnswers ? `link ${link.connected ? "up" : "down"}` : "gateway down",
  ].join("  ");
}
