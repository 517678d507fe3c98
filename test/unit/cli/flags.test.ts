import { describe, expect, expectTypeOf, it } from "vitest";
import { defineCommand } from "../../../src/cli/command.ts";
import { parseArguments } from "../../../src/cli/flags.ts";
import { commandHelp } from "../../../src/cli/help.ts";

const command = defineCommand({
  name: "pour",
  summary: "Pour water",
  usage: "VESSEL… [flags]",
  positionals: { min: 1, max: 2 },
  flags: {
    control: { type: "string", value: "URL", default: "http://localhost", description: "Where" },
    level: { type: "string", choices: ["low", "high"], description: "How high" },
    rate: { type: "number", min: 1, max: 100, unit: "litres/s", description: "How fast" },
    speed: { type: "number", fraction: true, description: "Factor" },
    patience: { type: "duration", default: 60_000, description: "How long" },
    set: { type: "list", value: "K=V", description: "Values" },
    follow: { type: "boolean", short: "f", description: "Go on" },
    watch: { type: "boolean", default: true, description: "Do not watch" },
  },
  details: "Spills nothing.",
  examples: ["millrace pour cup"],
  async run({ flags }) {
    expectTypeOf(flags.control).toEqualTypeOf<string>();
    expectTypeOf(flags.level).toEqualTypeOf<string | undefined>();
    expectTypeOf(flags.rate).toEqualTypeOf<number | undefined>();
    expectTypeOf(flags.patience).toEqualTypeOf<number>();
    expectTypeOf(flags.set).toEqualTypeOf<readonly string[]>();
    expectTypeOf(flags.follow).toEqualTypeOf<boolean>();
    return 0;
  },
});

describe("flags", () => {
  it("have their defaults when none is given", () => {
    expect(parseArguments(command, ["cup"])).toEqual({
      flags: {
        control: "http://localhost",
        level: undefined,
        rate: undefined,
        speed: undefined,
        patience: 60_000,
        set: [],
        follow: false,
        watch: true,
        json: false,
        help: false,
      },
      positionals: ["cup"],
      json: false,
      help: false,
    });
  });

  it("are read in every spelling", () => {
    const args = [
      "-f",
      "--rate",
      "7",
      "a",
      "--set",
      "x=1",
      "--set=y=-2",
      "--patience=5s",
      "--no-watch",
      "--json",
      "--speed",
      "-0.5",
      "--",
      "--b",
    ];
    const { flags, positionals, json } = parseArguments(command, args);
    expect(flags).toMatchObject({ follow: true, rate: 7, set: ["x=1", "y=-2"], patience: 5_000, watch: false, speed: -0.5 });
    expect(positionals).toEqual(["a", "--b"]);
    expect(json).toBe(true);
  });

  it("take the last of two values, and a lone dash as a value", () => {
    expect(parseArguments(command, ["a", "--control", "x", "--control", "-"]).flags["control"]).toBe("-");
    expect(parseArguments(command, ["a", "--no-watch", "--watch"]).flags["watch"]).toBe(true);
  });

  it.each([
    [["a", "--rat", "7"], 'pour: unknown flag --rat; did you mean "--rate"?'],
    [["a", "-x"], "pour: unknown flag -x"],
    [
      ["a", "--constructor"],
      "pour: unknown flag --constructor; valid here: --control, --level, --rate, --speed, --patience, --set, --follow, --watch, --json, --help",
    ],
    [["a", "--no-rate"], 'pour: unknown flag --no-rate; did you mean "--rate"?'],
    [["a", "--rate"], "pour: --rate needs a value"],
    [
      ["a", "--control", "--json"],
      "pour: --control needs a value, but the next word is --json; if that is the value, write --control=--json",
    ],
    [["a", "--rate", "fast"], 'pour: --rate needs a whole number, not "fast"'],
    [["a", "--rate", "1.5"], 'pour: --rate needs a whole number, not "1.5"'],
    [["a", "--rate", ""], 'pour: --rate needs a whole number, not ""'],
    [["a", "--rate", "101"], "pour: --rate must be between 1 and 100, not 101"],
    [["a", "--speed", "x"], 'pour: --speed needs a number, not "x"'],
    [["a", "--patience", "5"], 'pour: --patience needs a duration such as 500ms, 20s or 5m, not "5"'],
    [["a", "--level", "hihg"], 'pour: --level cannot be "hihg"; did you mean "high"?'],
    [["a", "--follow=yes"], 'pour: --follow takes no value, but "yes" was given'],
    [[], "pour: something is missing; usage: millrace pour VESSEL… [flags]"],
    [["a", "b", "c"], 'pour: unexpected argument "c"; usage: millrace pour VESSEL… [flags]'],
  ])("%j is refused as wrong usage", (args, message) => {
    expect(() => parseArguments(command, args)).toThrow(expect.objectContaining({ code: "USAGE", message }));
  });

  it("need nothing else when help is asked for", () => {
    expect(parseArguments(command, ["--help"]).help).toBe(true);
    expect(parseArguments(command, ["-h"]).help).toBe(true);
  });
});

it("the help text lists usage, every flag, its unit and default, details and examples", () => {
  expect(commandHelp(command)).toBe(`millrace pour: Pour water

usage: millrace pour VESSEL… [flags]

  --control URL        Where (default http://localhost)
  --level TEXT         How high (low | high)
  --rate N             How fast (litres/s)
  --speed N            Factor
  --patience DURATION  How long (default 1m)
  --set K=V            Values (may be repeated)
  -f, --follow         Go on
  --no-watch           Do not watch
  --json               Print for programs: JSON on standard output, errors as JSON on standard error
  -h, --help           Show this text

Spills nothing.

examples:
  millrace pour cup
`);
});
