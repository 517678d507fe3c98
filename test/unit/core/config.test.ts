import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, describe, expect, expectTypeOf, it } from "vitest";
import { CONFIG_BYTES_MAX, type ConfigSources, environmentName, loadConfig } from "../../../src/core/config.ts";
import type { ConfigTable } from "../../../src/core/config-table.ts";
import { parseText } from "../../../src/core/config-value.ts";
import { CONTROL_TABLE } from "../../../src/core/control-config.ts";
import { MillraceError } from "../../../src/core/errors.ts";
import { GATEWAY_TABLE, gatewayIdOf } from "../../../src/core/gateway-config.ts";
import { GATEWAY_ID } from "../../../src/core/link.ts";

const TABLE = {
  name: { type: "string", default: "x", description: "" },
  mode: { type: "string", default: "fast", choices: ["fast", "slow"], description: "" },
  "mqtt.port": { type: "int", default: 1883, min: 0, max: 65_535, description: "" },
  "mqtt.payload_max": { type: "size", default: 1024, min: 1, max: 1024 ** 2, description: "" },
  "mqtt.spare": { type: "size", default: 1024, min: 0, max: 1024 ** 2, description: "" },
  "mqtt.idle": { type: "duration", default: 60_000, min: 1_000, max: 3_600_000, description: "" },
  topics: { type: "list", default: [], description: "" },
  labels: { type: "map", default: {}, description: "" },
} as const satisfies ConfigTable;

const folder = mkdtempSync(join(tmpdir(), "millrace-config-"));
afterAll(() => rmSync(folder, { recursive: true }));

function load(text: string, sources: Partial<ConfigSources> = {}): ReturnType<typeof loadConfig<typeof TABLE>> {
  return loadConfig(TABLE, { text, file: "f.yaml", env: {}, ...sources });
}

function problems(text: string, sources: Partial<ConfigSources> = {}): string[] {
  try {
    load(text, sources);
  } catch (error) {
    if (!(error instanceof MillraceError) || error.code !== "CONFIG_INVALID") throw error;
    const lines = error.message.split("\n");
    return lines.length === 1 ? lines : lines.slice(1).map((line) => line.trim());
  }
  return [];
}

/** What came of a text: the sections of the configuration, or the kind of error. */
function outcome(yaml: string): string {
  try {
    return Object.keys(load(yaml)).join();
  } catch (error) {
    return error instanceof MillraceError ? error.name : String(error);
  }
}

describe("values", () => {
  it("are the defaults without any source, typed by the table", () => {
    const config = loadConfig(TABLE, { env: {} });
    expect(config).toEqual({
      name: "x",
      mode: "fast",
      mqtt: { port: 1883, payload_max: 1024, spare: 1024, idle: 60_000 },
      topics: [],
      labels: {},
    });
    expectTypeOf(config.mqtt.port).toEqualTypeOf<number>();
    expectTypeOf(config.labels).toEqualTypeOf<Readonly<Record<string, string>>>();
  });

  it("come from the file, nested or dotted, in units", () => {
    const text = "mqtt:\n  payload_max: 64KB\n  idle: 5 m\nmqtt.port: 1\nmode: slow\ntopics: [a/b, c]\nlabels: {site: milan}";
    expect(load(text)).toEqual({
      name: "x",
      mode: "slow",
      mqtt: { port: 1, payload_max: 65_536, spare: 1024, idle: 300_000 },
      topics: ["a/b", "c"],
      labels: { site: "milan" },
    });
  });

  it("need no unit where they are nothing", () => {
    expect(load("mqtt: {spare: 0}").mqtt.spare).toBe(0);
    expect(load("", { env: { MILLRACE_MQTT_SPARE: "0" } }).mqtt.spare).toBe(0);
    expect(problems("mqtt: {payload_max: 0}")).toEqual(["f.yaml:1: mqtt.payload_max: it must be from 1B to 1MB"]);
  });

  it("come from flag over environment over file over default", () => {
    const text = "name: file\nmqtt: {port: 1, payload_max: 1KB}\nlabels: {from: file}";
    const env = { MILLRACE_MQTT_PORT: "2", MILLRACE_NAME: "env", MILLRACE_LABELS: "from=env, b = 2", MILLRACE_TOPICS: "a,b", PATH: "/bin" };
    const flags = [
      { flag: "--name", name: "name", text: "flag" },
      { flag: "--mode", name: "mode", text: undefined },
    ];
    expect(load(text, { env, flags })).toMatchObject({
      name: "flag",
      mode: "fast",
      mqtt: { port: 2, payload_max: 1024 },
      labels: { from: "env", b: "2" },
      topics: ["a", "b"],
    });
  });

  it.each(["", "# nothing yet\n", "---\n", "mqtt:\n  # port: 1\nname: x"])(
    "are the defaults where the file %j leaves them open",
    (text) => {
      expect(load(text)).toEqual(loadConfig(TABLE, { env: {} }));
    },
  );

  it("follow YAML anchors", () => {
    expect(load("labels: &one {site: milan}\ntopics: []\nname: &n milan\nmode: fast\n").labels).toEqual({ site: "milan" });
    expect(load("name: &n slow\nmode: *n").mode).toBe("slow");
  });
});

describe("mistakes", () => {
  it("are all reported at once, each with file, line, key and what is expected", () => {
    const text = [
      "mqtt:",
      "  prt: 1883",
      "  port: abc",
      "  payload_max: 3",
      "  idle: 10 parsecs",
      "mod: fast",
      "mode: fats",
      "labels: {a: 1}",
      "topics: one",
      "name: 7",
    ].join("\n");
    expect(problems(text)).toEqual([
      'f.yaml:2: mqtt.prt: unknown key; did you mean "port"?',
      'f.yaml:3: mqtt.port: expected a whole number, found "abc"',
      "f.yaml:4: mqtt.payload_max: expected a size such as 64KB, 1MB or 2GB, found 3",
      'f.yaml:5: mqtt.idle: expected a duration such as 500ms, 20s or 5m, found "10 parsecs"',
      'f.yaml:6: mod: unknown key; did you mean "mode"?',
      'f.yaml:7: mode: it cannot be "fats"; did you mean "fast"?',
      'f.yaml:8: labels: "a": expected text (in quotes, if it looks like something else), found 1',
      'f.yaml:9: topics: expected a list of texts, such as [one, two], found "one"',
      "f.yaml:10: name: expected text (in quotes, if it looks like something else), found 7",
    ]);
  });

  it.each([
    ["mqtt: 3", "f.yaml:1: mqtt: expected keys below it: port, payload_max, spare, idle"],
    ["- a", "f.yaml:1: expected keys and values, such as `data: /var/lib/millrace`"],
    ["mqtt: {port: 70000}", "f.yaml:1: mqtt.port: it must be from 0 to 65535"],
    ["mqtt: {port: 1.5}", "f.yaml:1: mqtt.port: expected a whole number, found 1.5"],
    ["mqtt: {payload_max: 2GB}", "f.yaml:1: mqtt.payload_max: it must be from 1B to 1MB"],
    ["mqtt: {port: 1}\nmqtt.port: 2", "f.yaml:2: mqtt.port: it is given twice"],
    ["mqtt: {port: }", "f.yaml:1: mqtt.port: expected a whole number, found nothing"],
    ["1: 2", "f.yaml:1: a key has to be a word"],
    ["toString: 1", "f.yaml:1: toString: unknown key; valid here: name, mode, mqtt, topics, labels"],
  ])("%j is refused", (text, expected) => {
    expect(problems(text)).toEqual([expected]);
  });

  it.each(["name: a\nname: b", "name: [a", "a: b: c", "--- a\n--- b"])("YAML that does not parse is refused with its line: %j", (text) => {
    expect(problems(text).length).toBeGreaterThan(0);
    for (const line of problems(text)) expect(line).toMatch(/^f\.yaml:[12]: \S/);
  });

  it("of the environment and of flags name the variable or the flag", () => {
    const flags = [{ flag: "--mqtt-port", name: "mqtt.port", text: "-1" }];
    expect(problems("", { env: { MILLRACE_MQTT_PRT: "1", MILLRACE_LABELS: "a", MILLRACE_NAME: "ok" }, flags })).toEqual([
      'environment: unknown variable MILLRACE_MQTT_PRT; did you mean "MILLRACE_MQTT_PORT"?',
      'environment variable MILLRACE_LABELS: expected pairs such as site=milan,ring=canary, found "a"',
      "flag --mqtt-port: it must be from 0 to 65535",
    ]);
  });

  it("do not include the variables of another program", () => {
    expect(problems("", { env: { MILLRACE_STORE_URL: "x" } })).toHaveLength(1);
    const others = [{ "store.url": { type: "string", default: "", description: "" } }] as const;
    expect(problems("", { env: { MILLRACE_STORE_URL: "x" }, others })).toEqual([]);
  });

  it("of aliases that multiply are refused instead of expanded", () => {
    const bomb = `labels:\n  a: &a {b: "1"}\n${Array.from({ length: 30 }, (_, n) => `  k${n}: *a`).join("\n")}`;
    expect(problems(bomb)).toHaveLength(1);
  });

  it("of the file itself: not there, or too large", () => {
    expect(() => loadConfig(TABLE, { file: join(folder, "none.yaml"), env: {} })).toThrow(
      expect.objectContaining({ code: "FILE_UNREADABLE", message: expect.stringContaining("none.yaml") }),
    );
    const large = join(folder, "large.yaml");
    writeFileSync(large, "#".repeat(CONFIG_BYTES_MAX + 1));
    expect(() => loadConfig(TABLE, { file: large, env: {} })).toThrow(expect.objectContaining({ code: "CONFIG_INVALID" }));
  });

  it("never surface as anything but a MillraceError, whatever the file contains", () => {
    const value = fc.oneof(fc.jsonValue(), fc.string(), fc.integer(), fc.constantFrom("5s", "1MB", "&a x", "*a", "!!binary x"));
    const key = fc.oneof(fc.constantFrom(...Object.keys(TABLE), "mqtt", "__proto__", "<<"), fc.string());
    const line = fc.tuple(key, value).map(([k, v]) => `${k}: ${typeof v === "string" ? v : JSON.stringify(v)}`);
    const text = fc.oneof(
      fc.string(),
      fc.array(line).map((lines) => lines.join("\n")),
    );
    fc.assert(
      fc.property(text, (yaml) => {
        expect(["name,mode,mqtt,topics,labels", "MillraceError"]).toContain(outcome(yaml));
      }),
      { numRuns: 500 },
    );
  });
});

describe.each([
  ["gateway", GATEWAY_TABLE],
  ["control plane", CONTROL_TABLE],
] as const)("the table of the %s", (_, table: ConfigTable) => {
  it("has one variable for each setting", () => {
    const names = Object.keys(table).map(environmentName);
    expect(new Set(names).size).toBe(names.length);
  });

  it("has defaults that it would accept from a user", () => {
    for (const setting of Object.values(table)) {
      if (setting.type === "group") continue;
      const unit = { size: "B", duration: "ms", string: "", int: "", list: "", map: "" }[setting.type];
      const text = Array.isArray(setting.default)
        ? setting.default.join(",")
        : typeof setting.default === "object"
          ? ""
          : `${setting.default}${unit}`;
      expect(parseText(setting, text)).toEqual({ value: setting.default });
    }
  });

  it("describes each setting in sentences", () => {
    for (const setting of Object.values(table)) expect(setting.description).toMatch(/^[A-Z].*\.$/);
  });
});

describe("the gateway's own rules", () => {
  it("makes any host name a valid id", () => {
    fc.assert(fc.property(fc.string(), (host) => GATEWAY_ID.test(gatewayIdOf(host))));
    expect(gatewayIdOf("gw-7.plant.example")).toBe("gw-7.plant.example");
  });

  it.each(["", "mqtt://a:1", "mqtts://control.example.com"])("takes %j as control.url", (url) => {
    expect(loadConfig(GATEWAY_TABLE, { text: `control.url: "${url}"`, env: {} }).control.url).toBe(url);
  });

  it.each(["a:1", "http://a", "mqtt://", "nonsense"])("refuses %j as control.url", (url) => {
    expect(() => loadConfig(GATEWAY_TABLE, { text: `control.url: "${url}"`, env: {} })).toThrow(/is not an address such as/);
  });
});
