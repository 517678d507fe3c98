import { describe, expect, it } from "vitest";
import { MillraceError } from "../../../src/core/errors.ts";
import { type Manifest, manifestSchema } from "../../../src/core/manifest.ts";
import { MANIFEST_BYTES_MAX, parseManifest, parseManifestFile } from "../../../src/runtime/build/manifest-file.ts";

const FILE = "functions/a/function.yaml";
const MINIMAL = "name: a\napi: 1\ntriggers:\n  - mqtt: sensors/+site/+device/temp\n";

/** The lines of the error, without the file. */
function mistakesOf(text: string): string[] {
  try {
    parseManifest(text, FILE);
  } catch (error) {
    if (!(error instanceof MillraceError) || error.code !== "MANIFEST_INVALID") throw error;
    const lines = error.message.split("\n");
    return lines.map((line) => (line.startsWith(`${FILE}:`) ? line.slice(FILE.length + 1) : `not in the form of a mistake: ${line}`));
  }
  return [];
}

describe("parseManifest", () => {
  it("fills in every default", () => {
    const manifest: Manifest = {
      name: "a",
      api: 1,
      description: "",
      triggers: [{ mqtt: "sensors/+site/+device/temp", durable: true }],
      order: "strict",
      overflow: "block",
      outbox: [],
      concurrency: 1,
      warm: 0,
      idleMs: 60_000,
      isolation: "shared",
      limits: {
        cpuMs: 50,
        wallMs: 5_000,
        memoryBytes: 32 * 1024 ** 2,
        outputBytes: 1024 ** 2,
        stateValueBytes: 64 * 1024,
        stateBytes: 64 * 1024 ** 2,
        fetchBytes: 1024 ** 2,
      },
      retry: { attempts: 5, minMs: 1_000, maxMs: 60_000, maxAgeMs: 3_600_000 },
      permissions: { publish: [], emit: ["*"], http: [], secrets: [] },
      env: {},
    };
    expect(parseManifestFile(MINIMAL, FILE)).toEqual({ manifest, entry: "index.ts" });
    expect(manifestSchema.parse(manifest)).toEqual(manifest);
  });

  it("reads everything that can be said", () => {
    const text = `${MINIMAL}  - mqtt: raw/+device
    durable: false
description: Something
entry: lib/main.mts
key: device
order: relaxed
idempotency: {key: data.header.id, window: 1h, entries: 500}
overflow: keep-latest
outbox:
  - {types: [alarm, com.example.*], priority: 9, ttl: 1h, overflow: drop-oldest}
  - {types: ["*"]}
concurrency: 4
warm: 2
idle: 5m
limits: {cpu: 0.5s, wall: 1m, memory: 64MB, output: 512KB, state: 2MB, stateValue: 1KB, fetch: 2MB}
retry: {attempts: 1, backoff: 100ms..1m, maxAge: 2d}
permissions: {publish: ["cmd/#"], emit: [measurement, com.example.*], http: ["*.example.com:8443", "http://10.0.0.5"], secrets: [API_KEY]}
env: {HIGH: "80", EMPTY: ""}
`;
    expect(parseManifestFile(text, FILE)).toEqual({
      entry: "lib/main.mts",
      manifest: {
        name: "a",
        api: 1,
        description: "Something",
        triggers: [
          { mqtt: "sensors/+site/+device/temp", durable: true },
          { mqtt: "raw/+device", durable: false },
        ],
        key: "device",
        order: "relaxed",
        idempotency: { key: "data.header.id", windowMs: 3_600_000, entries: 500 },
        overflow: "keep-latest",
        outbox: [
          { types: ["alarm", "com.example.*"], priority: 9, ttlMs: 3_600_000, overflow: "drop-oldest" },
          { types: ["*"], priority: 5, overflow: "block" },
        ],
        concurrency: 4,
        warm: 2,
        idleMs: 300_000,
        isolation: "shared",
        limits: {
          cpuMs: 500,
          wallMs: 60_000,
          memoryBytes: 64 * 1024 ** 2,
          outputBytes: 512 * 1024,
          stateValueBytes: 1024,
          stateBytes: 2 * 1024 ** 2,
          fetchBytes: 2 * 1024 ** 2,
        },
        retry: { attempts: 1, minMs: 100, maxMs: 60_000, maxAgeMs: 2 * 86_400_000 },
        permissions: {
          publish: ["cmd/#"],
          emit: ["measurement", "com.example.*"],
          http: ["*.example.com:8443", "http://10.0.0.5"],
          secrets: ["API_KEY"],
        },
        env: { HIGH: "80", EMPTY: "" },
      },
    });
  });

  it('takes "topic" for the default key', () => {
    expect(parseManifest(`${MINIMAL}key: topic`, FILE)).not.toHaveProperty("key");
  });

  it("reports every mistake at once, in the order of the file", () => {
    const text = "nam: a\napi: 2\ntriggers:\n  - mqtt: a#\nkey: b\nlimits:\n  cpu: 50 ms\nbatch: 0\n";
    expect(mistakesOf(text)).toEqual([
      '1: nam: is not a key of a manifest; did you mean "name"?',
      "2: api: must be 1, the only contract version of this Millrace",
      '4: triggers[0].mqtt: topic filter "a#": level 1 "a#" mixes a wildcard with other text; "+" and "+name" stand alone, "#" too',
      '7: limits.cpu: "50 ms" is not a number with a unit (ms, s, m, h, d); try "50ms"',
      "8: batch: is not supported by this version of Millrace",
    ]);
  });

  it.each([
    ["name: Foo Bar", 'name: must be lower-case letters, digits and dashes, at most 63, no dash at either end; try "foo-bar"'],
    [`name: ${"a".repeat(64)}`, `name: must be lower-case letters`],
    ["name: -a", 'try "a"'],
    ["name: 5", "name: must be a string, not 5"],
    ["api: '1'", "api: must be 1"],
    ["entry: ../other.ts", "entry: must be a .ts, .mts, .js or .mjs file inside the folder"],
    ["entry: /etc/passwd.ts", "entry: must be"],
    ["entry: index.py", "entry: must be"],
    ["triggers: []", "triggers: at least one trigger is needed"],
    ["triggers: a/b", 'triggers: must be a list, not "a/b"'],
    ["triggers:\n  - mqtt:", "triggers[0].mqtt: must be a topic filter"],
    ["triggers:\n  - mqtt: $SYS/#", 'topics that start with "$" belong to the broker'],
    ["triggers:\n  - mqtt: a/+x/+x", 'two wildcards are named "x"'],
    ["triggers:\n  - mqtt: a/+x\n  - mqtt: b\n  - mqtt: a/+y", '4: triggers[2].mqtt: "a/+y" is the same filter as triggers[0].mqtt'],
    ["triggers:\n  - schedule: every 10s", "triggers[0].schedule: is not supported by this version of Millrace"],
    ["triggers:\n  - mqt: a", 'triggers[0].mqt: is not a key of a manifest; did you mean "mqtt"?'],
    ["key: devise", 'key: trigger "sensors/+site/+device/temp" has no wildcard "+devise"; did you mean "device"?'],
    ["key: data.id", 'key: a path such as "data.id" is not supported by this version of Millrace'],
    ["triggers:\n  - mqtt: a/+topic\nkey: topic", 'give the wildcard "+topic" another name'],
    ["concurrency: 0", "concurrency: must be at least 1"],
    ["concurrency: 65", "concurrency: must be at most 64"],
    ["warm: 2", "warm: must not be above concurrency, which is 1"],
    ["warm: -1", "warm: must be at least 0"],
    ["idle: 10", 'idle: 10 has no unit; try "10ms"'],
    ["idle: 100ms", 'idle: "100ms" is out of bounds: 1s to 1d are allowed'],
    ["concurrency: 1.5", "concurrency: must be a whole number, not 1.5"],
    ["limits:", "limits: must be a group of keys, not nothing"],
    ["limits: {cpu: 50}", 'limits.cpu: 50 has no unit; try "50ms"'],
    ["limits: {cpu: '50'}", 'try "50ms"'],
    ["limits: {cpu: 2 Sec}", 'try "2s"'],
    ["limits: {wall: 1 minute}", 'is not a number with a unit (ms, s, m, h, d); try "50ms"'],
    ["limits: {cpu: 11s}", 'limits.cpu: "11s" is out of bounds: 1ms to 10s are allowed'],
    ["limits: {cpu: 6s}", "limits.wall: must not be below limits.cpu"],
    ["limits: {memory: 64mb}", 'limits.memory: "64mb" is not a number with a unit (B, KB, MB, GB); try "64MB"'],
    ["limits: {memory: true}", 'limits.memory: must be a number with a unit (B, KB, MB, GB), such as "32MB"'],
    ["limits: {outptu: 1MB}", 'limits.outptu: is not a key of a manifest; did you mean "output"?'],
    ["limits: {state: 32KB}", "limits.state: must not be below limits.stateValue"],
    ["limits: {stateVal: 32KB}", 'limits.stateVal: is not a key of a manifest; did you mean "stateValue"?'],
    ["triggers:\n  - mqtt: a\n    durable: yes", "3: triggers[0].durable: must be true or false"],
    ["triggers:\n  - mqtt: a\n    durabel: false", 'triggers[0].durabel: is not a key of a manifest; did you mean "durable"?'],
    ["order: strickt", 'order: "strickt" is not known here; did you mean "strict"?'],
    ["order: 5", "order: must be one of strict, relaxed"],
    ["overflow: drop", 'overflow: "drop" is not known here; valid here: block, drop-oldest, drop-newest, keep-latest'],
    ["idempotency: {window: 10m}", 'idempotency.key: must be a path such as "data.id" or a user property'],
    [
      "idempotency: {key: id}",
      'idempotency.key: "id" is neither a path such as "data.id" nor a user property such as "property:message-id"; try "data.id"',
    ],
    ["idempotency: {key: data}", 'idempotency.key: "data" is neither a path'],
    ["idempotency: {key: data.id, window: 10}", 'idempotency.window: 10 has no unit; try "10ms"'],
    ["idempotency: {key: data.id, windw: 10m}", 'idempotency.windw: is not a key of a manifest; did you mean "window"?'],
    ["idempotency: {key: data.id, entries: 0}", "idempotency.entries: must be at least 1"],
    ["retry: {backoff: 60s..1s}", 'retry.backoff: "60s..1s" starts above its end; try "1s..60s"'],
    ["retry: {backoff: 1s}", 'retry.backoff: "1s" is not two durations; try "1s..60s"'],
    ["retry: {backoff: 1s..2s..3s}", "is not two durations"],
    ["retry: {backoff: 1 s..60s}", 'retry.backoff: "1 s" is not a number with a unit'],
    ["permissions: {publish: cmd/#}", 'permissions.publish: must be a list, not "cmd/#"'],
    ["permissions: {publish: [a/#/b]}", 'permissions.publish[0]: topic filter "a/#/b": "#" in level 2 is not the last level'],
    ["permissions: {emit: ['a*b']}", 'permissions.emit[0]: must be an event type, with at most one "*", at its end'],
    ["permissions: {http: ['*']}", 'permissions.http[0]: "*" would allow any host; name the hosts, such as "api.example.com"'],
    ["permissions: {http: [a.example.com, https://b.example.com/path]}", 'paths cannot be chosen, try "https://b.example.com"'],
    ["permissions: {http: [80]}", "permissions.http[0]: must be a host such as"],
    ["permissions: {http: example.com}", "permissions.http: must be a list"],
    ["permissions: {secrets: [api-key]}", "permissions.secrets[0]: must be the name of a secret: letters, digits and underscores"],
    ["permissions: {secrets: API_KEY}", "permissions.secrets: must be a list"],
    ["limits: {fetch: 9MB}", 'limits.fetch: "9MB" is out of bounds: 1KB to 8MB are allowed'],
    ["env: {A: 80}", 'env.A: must be text; write it in quotes: "80"'],
    ["env: {A: [1]}", "env.A: must be text"],
    ["env: {1A: x}", "env.1A: names have letters, digits and underscores and do not start with a digit"],
    ["env: {__proto__: x}", "env.__proto__: is not allowed as a name"],
    ["__proto__: {}", "1: __proto__: is not a key of a manifest"],
    ["batch: {size: 100}", "batch: is not supported by this version of Millrace"],
    ["isolation: proces", 'isolation: "proces" is not known here; did you mean "process"?'],
  ])("refuses %j", (line, problem) => {
    const [key] = line.split(":");
    const others = MINIMAL.split(/^(?=\S)/m).filter((part) => !part.startsWith(`${key}:`));
    const mistakes = mistakesOf(`${line}\n${others.join("")}`);
    expect(mistakes).toEqual([expect.stringContaining(problem)]);
  });

  it("names the line of a missing key's parent", () => {
    expect(mistakesOf("api: 1\ntriggers: [{mqtt: a}]")).toEqual(["1: name: is missing"]);
    expect(mistakesOf("name: a\napi: 1\ntriggers:\n  - mqtt: a\n  - {}")).toEqual([
      '5: triggers[1].mqtt: must be a topic filter in quotes or plain text, such as "sensors/+site/+device/temp"',
    ]);
  });

  it.each([
    ["nothing", "", "1: must be a group of keys, not nothing"],
    ["a list", "- a", "1: must be a group of keys, not a list"],
    ["broken YAML", "name: a\napi: {", "YAML: "],
    ["a key given twice", `${MINIMAL}name: b`, "5: YAML: Map keys must be unique"],
    ["two documents", `${MINIMAL}---\na: b`, "YAML: the file holds more than one document"],
    ["an alias that contains itself", "name: &a [*a]", "1: YAML: aliases (*name) are not supported"],
    ["a tag nobody knows", "name: !secret a", "1: YAML: Unresolved tag: !secret"],
    ["nesting without end", "[".repeat(30_000), "YAML: "],
    ["a file that is too large", `${MINIMAL}# ${"x".repeat(MANIFEST_BYTES_MAX)}`, "bytes, at most 65536 are allowed"],
  ])("refuses %s", (_what, text, problem) => {
    expect(mistakesOf(text).join("\n")).toContain(problem);
  });
});
