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
        initMs: 2_000,
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
batch: {size: 50, window: 1s}
idempotency: {key: data.header.id, window: 1h, entries: 500}
overflow: keep-latest
outbox:
  - {types: [alarm, com.example.*], priority: 9, ttl: 1h, overflow: drop-oldest}
  - {types: ["*"]}
concurrency: 4
warm: 2
idle: 5m
limits: {cpu: 0.5s, wall: 1m, init: 4s, memory: 64MB, output: 512KB, state: 2MB, stateValue: 1KB, fetch: 2MB}
retry: {attempts: 1, backoff: 100ms..1m, maxAge: 2d}
onFailure: {publish: cmd/failed, emit: com.example.failed}
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
        batch: { size: 50, windowMs: 1_000 },
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
          initMs: 4_000,
          memoryBytes: 64 * 1024 ** 2,
          outputBytes: 512 * 1024,
          stateValueBytes: 1024,
          stateBytes: 2 * 1024 ** 2,
          fetchBytes: 2 * 1024 ** 2,
        },
        retry: { attempts: 1, minMs: 100, maxMs: 60_000, maxAgeMs: 2 * 86_400_000 },
        onFailure: { publish: "cmd/failed", emit: "com.example.failed" },
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

  it("fills in what a schedule leaves out, and needs no wildcard of it", () => {
    const nightly = "{schedule: 0 3 * * *, name: nightly, timezone: Europe/Rome, catchUp: all, catchUpMax: 7}";
    const text = `${MINIMAL}  - schedule: every 10s\n  - event: com.example.*\n  - state: limits/*\n  - ${nightly}\nkey: device\n`;
    const { triggers, key } = parseManifest(text, FILE);
    expect(key).toBe("device");
    expect(triggers.slice(1)).toEqual([
      { schedule: "every 10s", name: "default", timezone: "UTC", catchUp: "last", catchUpMax: 100 },
      { event: "com.example.*" },
      { state: "limits/*" },
      { schedule: "0 3 * * *", name: "nightly", timezone: "Europe/Rome", catchUp: "all", catchUpMax: 7 },
    ]);
  });

  it("has no use for a key without wildcards", () => {
    expect(mistakesOf("name: a\napi: 1\ntriggers:\n  - schedule: every 10s\nkey: device\n")).toEqual([
      '5: key: no trigger has wildcards, so there is no "device"; leave key out',
    ]);
  });

  it.each([
    ["filters that are partly the same", "triggers:\n  - mqtt: a/+x\n  - mqtt: +y/b\n"],
    ["the narrower filter first", "triggers:\n  - mqtt: a/+x/temp\n  - mqtt: a/#\n"],
    ["a durable filter in one that is not", "triggers:\n  - {mqtt: a/#, durable: false}\n  - mqtt: a/alarm\n"],
    ["the narrower event first", "triggers:\n  - event: com.a\n  - event: com.*\n"],
    ["states of other keys", "triggers:\n  - state: a/*\n  - state: b/*\n"],
    ["a day that comes every four years", "triggers:\n  - schedule: 0 0 29 2 *\n"],
    ["a day that is made up for by a weekday", "triggers:\n  - schedule: 0 0 31 2 MON\n"],
    ["a single try, whatever else is said", "triggers:\n  - mqtt: a\nretry: {attempts: 1, backoff: 1h..1h, maxAge: 1s}\n"],
    ["ticks that are not too old for a second try", "triggers:\n  - schedule: every 1d\nretry: {backoff: 1h..1h, maxAge: 1s}\n"],
    ["a hundred tries", "triggers:\n  - mqtt: a\nretry: {attempts: 100, backoff: 10ms..10ms, maxAge: 30d}\n"],
  ])("takes %s", (_what, text) => {
    expect(mistakesOf(`name: a\napi: 1\n${text}`)).toEqual([]);
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
      "8: batch: must be a group of keys, not 0",
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
    ["batch: {size: 257}", "batch.size: must be at most 256"],
    ["batch: {window: 2m}", "batch.window: "],
    ["onFailure: {}", 'onFailure: needs "publish", "emit" or both'],
    ["onFailure: {publish: errors/+}", 'onFailure.publish: cannot publish to "errors/+"'],
    ["onFailure: {publish: $SYS/a}", 'topics that start with "$" belong to the broker'],
    ["onFailure: {publish: errors/a}", 'onFailure.publish: permissions.publish does not allow "errors/a"; add it there'],
    ["onFailure: {publish: sensors/a/b/temp}\npermissions: {publish: ['#']}", 'own trigger "sensors/+site/+device/temp" matches it'],
    ["onFailure: {emit: failed}\npermissions: {emit: [other]}", 'onFailure.emit: permissions.emit does not allow "failed"'],
    ["onFailure: {emit: 'com.*'}", "onFailure.emit: must be an event type"],
    ["onFailure: {emit: a, topic: a}", "onFailure.topic: is not a key of a manifest"],
    ["triggers: []", "triggers: at least one trigger is needed"],
    ["triggers: a/b", 'triggers: must be a list, not "a/b"'],
    ["triggers:\n  - mqtt:", "triggers[0].mqtt: must be a topic filter"],
    ["triggers:\n  - mqtt: $SYS/#", 'topics that start with "$" belong to the broker'],
    ["triggers:\n  - mqtt: a/+x/+x", 'two wildcards are named "x"'],
    ["triggers:\n  - mqtt: a/+x\n  - mqtt: b\n  - mqtt: a/+y", '4: triggers[2].mqtt: "a/+y" is the same filter as triggers[0].mqtt'],
    [
      "triggers:\n  - mqtt: a/#\n  - mqtt: a/+x/temp",
      '3: triggers[1].mqtt: "a/+x/temp" never counts: triggers[0].mqtt, "a/#", matches all of it first; put this one before it, or leave it out',
    ],
    [
      "triggers:\n  - mqtt: +a/b\n  - mqtt: x\n  - {mqtt: c/b, durable: false}",
      'triggers[2].mqtt: "c/b" never counts: triggers[0].mqtt, "+a/b"',
    ],
    ["triggers:\n  - {mqtt: a/#, durable: false}\n  - {mqtt: a/b, durable: false}", 'triggers[1].mqtt: "a/b" never counts'],
    ["triggers:\n  - event: com.*\n  - event: com.a.*", '3: triggers[1].event: "com.a.*" never counts: triggers[0].event, "com.*",'],
    ["triggers:\n  - state: a*/n*\n  - state: ab/name", '3: triggers[1].state: "ab/name" never counts: triggers[0].state, "a*/n*",'],
    ["triggers:\n  - http: /a", '"/a" does not begin with a method; try "POST /a"'],
    ["triggers:\n  - http: PSOT /a", '"PSOT /a" does not begin with a method; did you mean "POST"?'],
    ["triggers:\n  - http: POST a", '"POST a" is not a method, a space and a path; try "POST /a"'],
    ["triggers:\n  - http: GET,GET /a", '"GET,GET /a" names a method twice'],
    ["triggers:\n  - http: GET /a//b", "a segment of the path is empty"],
    ["triggers:\n  - http: GET /:a/:a", 'two parameters are named "a"'],
    ["triggers:\n  - http: GET /a*", '"a*" is neither a parameter such as ":id" nor plain text'],
    ["triggers:\n  - {http: GET /a, answer: async}", 'triggers[0].answer: "async" is not known here; '],
    ["triggers:\n  - {mqtt: a, answer: sync}", "triggers[0].answer: belongs to http, not to mqtt"],
    [
      "triggers:\n  - http: GET /a/:b\n  - http: POST,GET /a/:c",
      '3: triggers[1].http: "POST,GET /a/:c" takes requests that triggers[0].http takes',
    ],
    ["triggers:\n  - http: GET /a/:b\nkey: c", 'key: trigger "GET /a/:b" has no wildcard ":c"'],
    ["triggers:\n  - event: a*b", 'triggers[0].event: must be an event type, with at most one "*", at its end'],
    ["triggers:\n  - event: a\n  - event: a", '3: triggers[1].event: "a" is the same as triggers[0].event'],
    ["triggers:\n  - state: a/", 'triggers[0].state: "a/" is not KEY/NAME, or only NAME for any key; try "limits/*"'],
    ["triggers:\n  - state: /a", 'triggers[0].state: "/a" is not KEY/NAME'],
    ["triggers:\n  - state: a*b/c", 'triggers[0].state: "a*b" has a "*" that is not at its end'],
    ["triggers:\n  - state: a\n  - state: '*/a'", '3: triggers[1].state: "a" is the same as triggers[0].state'],
    ["triggers:\n  - {event: a, timezone: UTC}", "triggers[0].timezone: belongs to schedule, not to event"],
    ["triggers:\n  - schedule: 5", "triggers[0].schedule: must be text such as"],
    ["triggers:\n  - schedule: every 10 s", 'triggers[0].schedule: "every 10 s" is not "every" and a duration; try "every 10s"'],
    ["triggers:\n  - schedule: every 5 minutes", 'try "every 5m"'],
    ["triggers:\n  - schedule: every 1ms", '"every 1ms" is out of bounds: 100ms to 366d are allowed'],
    [
      "triggers:\n  - schedule: 0 0 30 2 *",
      '2: triggers[0].schedule: "0 0 30 2 *" never fires: no month that it names has such a day; "L" is the last day of each',
    ],
    ["triggers:\n  - schedule: 0 0 31 2,4,6 *", '"0 0 31 2,4,6 *" never fires'],
    ["triggers:\n  - schedule: '* * * * * *'", "cron has five fields (minute, hour, day of the month, month, day of the week), this has 6"],
    ["triggers:\n  - schedule: 61 * * * *", '"61 * * * *" is not cron: Invalid value for minute: 61'],
    [
      "triggers:\n  - {schedule: every 1h, timezone: Europe/Rom}",
      'timezone: "Europe/Rom" is not a time zone of the IANA data base; did you mean "Europe/Rome"?',
    ],
    ["triggers:\n  - {schedule: every 1h, timezone: rome}", 'did you mean "Europe/Rome"?'],
    ["triggers:\n  - {schedule: every 1h, catchUp: al}", 'triggers[0].catchUp: "al" is not known here; did you mean "all"?'],
    ["triggers:\n  - {schedule: every 1h, catchUpMax: 5}", "triggers[0].catchUpMax: counts only with catchUp: all"],
    ["triggers:\n  - {schedule: every 1h, durable: false}", "triggers[0].durable: belongs to mqtt, not to schedule"],
    ["triggers:\n  - {mqtt: a, schedule: every 1h}", "triggers[0].schedule: stands beside mqtt; each of them is a trigger of its own"],
    ["triggers:\n  - {mqtt: a, timezone: UTC}", "triggers[0].timezone: belongs to schedule, not to mqtt"],
    [
      "triggers:\n  - schedule: every 1h\n  - schedule: every 1h",
      '3: triggers[1].schedule: "every 1h" is the same schedule as triggers[0].schedule',
    ],
    ["triggers:\n  - schedule: every 1h\n  - schedule: every 2h", '3: triggers[1].name: "default" is the name of triggers[0] too'],
    ["triggers:\n  - {schedule: every 1h, name: A}", "triggers[0].name: must be lower-case letters, digits and dashes"],
    ["triggers:\n  - mqt: a", 'triggers[0].mqt: is not a key of a manifest; did you mean "mqtt"?'],
    ["key: devise", 'key: trigger "sensors/+site/+device/temp" has no wildcard "+devise"; did you mean "device"?'],
    [
      "key: header.id",
      'key: "header.id" is no path into the payload; it is "data." and names with single dots between them, try "data.header.id"',
    ],
    ["key: data..id", 'key: "data..id" is no path into the payload; it is "data." and names with single dots between them, try "data.id"'],
    ["key: data.", 'key: "data." is no path into the payload; it is "data." and names with single dots between them'],
    ["key: 'data.a b'", 'key: "data.a b" is no path into the payload; it is "data." and names'],
    [`key: data.${"x".repeat(200)}`, "key: must be at most 200 characters long"],
    ["triggers:\n  - mqtt: a/+topic\nkey: topic", 'give the wildcard "+topic" another name'],
    ["concurrency: 0", "concurrency: must be at least 1"],
    ["concurrency: 65", "concurrency: must be at most 64"],
    ["warm: 2", "warm: must not be above concurrency, which is 1"],
    ["warm: -1", "warm: must be at least 0"],
    ["idle: 10", 'idle: 10 has no unit; try "10s"'],
    ["idle: 0", "idle: 0 is out of bounds: 1s to 1d are allowed"],
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
    ["limits: {state: 17GB}", 'limits.state: "17GB" is out of bounds: 1KB to 16GB are allowed'],
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
    ["idempotency: {key: data.id, window: 10}", 'idempotency.window: 10 has no unit; try "10s"'],
    ["idempotency: {key: data.id, windw: 10m}", 'idempotency.windw: is not a key of a manifest; did you mean "window"?'],
    ["idempotency: {key: data.id, entries: 0}", "idempotency.entries: must be at least 1"],
    ["retry: {attempts: 0}", "retry.attempts: must be at least 1, which is the first try alone"],
    ["retry: {attempts: 101}", "retry.attempts: must be at most 100; what fails so often waits better in the dead letters"],
    ["retry: {maxAge: 0}", 'retry.maxAge: 0 is out of bounds: 1s to 30d are allowed; for a single try write "attempts: 1"'],
    ["retry: {maxAge: 0s}", 'retry.maxAge: "0s" is out of bounds: 1s to 30d are allowed; for a single try write "attempts: 1"'],
    ["retry: {maxAge: 60}", 'retry.maxAge: 60 has no unit; try "60s"'],
    ["retry: {maxAge: 31d}", 'retry.maxAge: "31d" is out of bounds'],
    ["retry: {backoff: 0s..1s}", 'retry.backoff: "0s" is out of bounds: 10ms to 1h are allowed'],
    ["retry: {backoff: 0}", 'retry.backoff: must be two durations, such as "1s..60s"'],
    ["retry: {backoff: 1s..2h}", 'retry.backoff: "2h" is out of bounds'],
    [
      "retry: {backoff: 10s..60s, maxAge: 4s}",
      "retry.maxAge: is over before the second of 5 tries, which backoff lets wait for up to 10s, so there is no third; raise maxAge, " +
        'begin backoff lower, or write "attempts: 2"',
    ],
    ["retry: {backoff: 60s..1s}", 'retry.backoff: "60s..1s" starts above its end; try "1s..60s"'],
    ["retry: {backoff: 1s}", 'retry.backoff: "1s" is not two durations; try "1s..60s"'],
    ["retry: {backoff: 1s..2s..3s}", "is not two durations"],
    ["retry: {backoff: 1 s..60s}", 'retry.backoff: "1 s" is not a number with a unit'],
    ["permissions: {publish: cmd/#}", 'permissions.publish: must be a list, not "cmd/#"'],
    ["permissions: {publish: [a/#/b]}", 'permissions.publish[0]: topic filter "a/#/b": "#" in level 2 is not the last level'],
    ["permissions: {emit: ['a*b']}", 'permissions.emit[0]: must be an event type, with at most one "*", at its end'],
    ["permissions: {http: ['*']}", 'permissions.http[0]: "*" would allow any host; name the hosts, such as "api.example.com"'],
    ["permissions: {http: [a.example.com, https://b.example.com/path]}", 'paths cannot be chosen, try "https://b.example.com"'],
    ["permissions: {http: ['https://']}", '"https://" is not a host such as "api.example.com"'],
    ["permissions: {http: ['ftp://a.example.com']}", 'has the scheme "ftp"; https and http are possible'],
    ["permissions: {http: ['*.com']}", "allows too much; a wildcard stands before a name with a dot"],
    ["permissions: {http: ['a.*.com']}", '"a.*.com" is not a host such as'],
    ["permissions: {http: ['user:pw@a.example.com']}", "is not a host such as"],
    ["permissions: {http: ['a.example.com:99999']}", "is not a host that a URL can name"],
    ["permissions: {http: ['0.0.0.0']}", "is the address of nobody in particular"],
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
      "5: triggers[1]: needs one of mqtt, schedule, http, event, state",
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
