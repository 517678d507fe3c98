import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cli, listen, startBroker, startCli, startWire } from "./support.ts";
import { eventually } from "../../support/eventually.ts";

let folder: string;
let file: string;
const ROWS = 1_500;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-replay-"));
  file = join(folder, "data.csv");
  const rows = Array.from({ length: ROWS }, (_, index) => `aq${index % 3},${index},${index % 7 === 0 ? "" : index / 4}`);
  await writeFile(file, `\ufeffdevice,n,v\r\n${rows.join("\r\n")}\r\n`);
});
afterAll(() => rm(folder, { recursive: true }));

const TOPIC = ["--topic", "sensors/{site}/{device}/raw", "--set", "site=milan"];
const numberOf = ({ payload }: { payload: string }): number => (JSON.parse(payload) as { n: number }).n;
const everyNumber = Array.from({ length: ROWS }, (_, index) => index);

describe("replay", () => {
  it("publishes every row once, in order, with what the file says", async () => {
    await using broker = await startBroker();
    const { code, stdout } = await cli("replay", file, ...TOPIC, "--key", "device", "--broker", broker.url, "--json");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ rows: ROWS, interrupted: false, nextRow: ROWS + 1 });
    expect(broker.received.map(numberOf)).toEqual(everyNumber);
    expect(broker.received[0]).toMatchObject({ topic: "sensors/milan/aq0/raw", payload: '{"n":0,"v":null}', qos: 2, retain: false });
    expect(broker.received[1]?.payload).toBe('{"n":1,"v":0.25}');
  });

  it("delivers each row exactly once over a connection that is cut again and again", async () => {
    await using broker = await startBroker();
    let seed = 7;
    await using wire = await startWire(broker.port, () => 3_000 + ((seed = (seed * 16_807) % 2_147_483_647) % 20_000));
    const { code, stderr } = await cli("replay", file, ...TOPIC, "--broker", `mqtt://127.0.0.1:${wire.port}`);
    expect(code).toBe(0);
    expect(wire.cuts()).toBeGreaterThan(3);
    expect(stderr).toMatch(/lost the connection .*trying again for 60 s\n(.*\n)*connected to/);
    expect(broker.received.map(numberOf).toSorted((a, b) => a - b)).toEqual(everyNumber);
  });

  it("publishes from one row to another, retained, at the QoS that is asked for", async () => {
    await using broker = await startBroker();
    for (const qos of ["0", "1"]) {
      const args = ["--from-row", "11", "--limit", "5", "--qos", qos, "--retain", "--client-id", "me"];
      expect(await cli("replay", file, ...TOPIC, ...args, "--broker", broker.url)).toMatchObject({ code: 0 });
    }
    await eventually(() => expect(broker.received).toHaveLength(10));
    expect(broker.received.map(numberOf)).toEqual([10, 11, 12, 13, 14, 10, 11, 12, 13, 14]);
    expect(broker.received[0]).toMatchObject({ qos: 0, retain: true, client: "me" });
  });

  it("keeps to the rate", async () => {
    await using broker = await startBroker();
    const startedAt = performance.now();
    await cli("replay", file, ...TOPIC, "--limit", "40", "--rate", "100", "--broker", broker.url);
    const seconds = (performance.now() - startedAt) / 1000;
    expect(broker.received).toHaveLength(40);
    expect(seconds).toBeGreaterThan(0.38);
  });

  it("keeps to the recorded pace, sped up", async () => {
    const timed = join(folder, "timed.csv");
    await writeFile(timed, "Date,Time,v\n2004-03-10,18:00:00,1\n2004-03-10,18:00:30,2\n2004-03-10,18:00:15,3\n2004-03-10,18:01:00,4\n");
    await using broker = await startBroker();
    const startedAt = performance.now();
    const { code } = await cli("replay", timed, "--topic", "a", "--speed", "100", "--time", "Date,Time", "--broker", broker.url);
    expect(code).toBe(0);
    expect(performance.now() - startedAt).toBeGreaterThan(590);
    expect(broker.received).toHaveLength(4);
  });

  it("stops when told, and says where to go on", async () => {
    await using broker = await startBroker();
    const run = startCli("replay", file, ...TOPIC, "--rate", "200", "--broker", broker.url, "--json");
    await eventually(() => expect(broker.received.length).toBeGreaterThan(3));
    run.stop();
    const { code, stdout } = await run.result;
    const outcome = JSON.parse(stdout) as { rows: number; interrupted: boolean; nextRow: number };
    expect(code).toBe(130);
    expect(outcome).toMatchObject({ interrupted: true, rows: broker.received.length, nextRow: broker.received.length + 1 });
  });

  it("waits for a broker that comes later", async () => {
    await using later = await startBroker();
    const closed = createServer();
    const port = await listen(closed);
    await new Promise<void>((resolve) => closed.close(() => resolve()));
    const run = startCli("replay", file, ...TOPIC, "--limit", "20", "--broker", `mqtt://127.0.0.1:${port}`);
    await eventually(() => expect(run.output.stderr).toMatch(/no connection to .*ECONNREFUSED.*trying again/));
    const server = createServer(later.aedes.handle);
    await listen(server, port);
    expect(await run.result).toMatchObject({ code: 0 });
    expect(later.received).toHaveLength(20);
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });

  it("gives up when patience runs out, and says how far it came", async () => {
    await using broker = await startBroker();
    const wire = await startWire(broker.port);
    const run = startCli("replay", file, ...TOPIC, "--rate", "500", "--patience", "300ms", "--broker", `mqtt://127.0.0.1:${wire.port}`);
    await eventually(() => expect(broker.received.length).toBeGreaterThan(50));
    await wire[Symbol.asyncDispose]();
    const { code, stderr } = await run.result;
    expect(code).toBe(1);
    expect(stderr).toMatch(/error BROKER_UNREACHABLE: no connection .* for 0\.3 s.*; \d+ rows were published, --from-row \d+ goes on/);
  });

  it("says so when the broker does not take a row", async () => {
    await using broker = await startBroker();
    broker.aedes.authorizePublish = (_client, packet, done) => done(packet.payload.includes('"n":30,') ? new Error("no room") : null);
    const { code, stderr } = await cli("replay", file, ...TOPIC, "--in-flight", "1", "--broker", broker.url);
    expect(code).toBe(1);
    expect(stderr).toMatch(/error BROKER_REFUSED: the broker did not take row 31 .*; 30 rows were published, --from-row 31 goes on/);
  });

  it("says so when the broker refuses the connection, at once", async () => {
    await using broker = await startBroker();
    broker.aedes.authenticate = (_client, _name, _password, done) => done(null, false);
    const { code, stderr } = await cli("replay", file, ...TOPIC, "--broker", broker.url.replace("//", "//joe:secret@"));
    expect(code).toBe(1);
    expect(stderr).toMatch(/error BROKER_REFUSED: .*Not authorized.*nothing was published/i);
    expect(stderr).not.toContain("secret");
  });

  it.each([
    ["a column in the topic", ["--topic", "s/{devise}"], "CSV_INVALID", /data\.csv:1: .*"device"/],
    ["a key", ["--topic", "s/{device}", "--key", "devce"], "CSV_INVALID", /data\.csv:1: --key names "devce".*"device"/],
    ["a key without a place", ["--topic", "s", "--key", "device"], "USAGE", /needs \{device\}/],
    ["a time column", ["--topic", "s", "--speed", "2", "--time", "w"], "CSV_INVALID", /data\.csv:1: --time names "w"/],
    ["speed without time", ["--topic", "s", "--speed", "2"], "USAGE", /--time/],
    ["no topic", [], "USAGE", /--topic is missing/],
    ["a broker", ["--topic", "s", "--broker", "localhost"], "USAGE", /--broker/],
    ["a row too far", ["--topic", "s", "--from-row", "9999"], "USAGE", /has 1500 rows/],
  ])("publishes nothing when %s is wrong", async (_what, args, code, message) => {
    await using broker = await startBroker();
    const target = args.includes("--broker") ? [] : ["--broker", broker.url];
    const { stderr } = await cli("replay", file, ...args, ...target, "--json");
    const { error } = JSON.parse(stderr) as { error: { code: string; message: string } };
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(broker.received).toEqual([]);
  });

  it("names the line of a broken row, after the rows above it", async () => {
    const broken = join(folder, "broken.csv");
    await writeFile(broken, "device,n\na,1\nb,2\nc/d,3\ne,4\n");
    await using broker = await startBroker();
    const { code, stderr } = await cli("replay", broken, "--topic", "s/{device}", "--broker", broker.url);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /error CSV_INVALID: .*broken\.csv:4: column "device".*"c\/d" contains "\/"; 2 rows were published, --from-row 3 goes on/,
    );
    expect(broker.received.map(numberOf)).toEqual([1, 2]);
  });

  it("shows what it would do on a dry run", async () => {
    const { code, stdout } = await cli("replay", file, ...TOPIC, "--key", "device", "--dry-run", "--broker", "mqtt://127.0.0.1:1");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^sensors\/milan\/aq0\/raw \{"n":0,"v":null\}\n(.*\n){2}1,500 rows to 3 topics, .*nothing was published\n$/);
  });
});
