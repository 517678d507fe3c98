/**
 * Real data through the real programs: replays air-quality.csv through control plane, gateway and `normalize-air-quality`, and compares what
 * the control plane holds with what expected.py computes from the file. Once undisturbed, once with the gateway killed in the middle, and
 * single messages with Debian's mosquitto clients.
 *
 *   node scripts/with-node.mjs node test/real-input/check.ts FILE
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { Program } from "../support/daemon.ts";

const SETTLE_MS_MAX = 120_000;
const readySchema = z.object({ addresses: z.record(z.string(), z.string()), pid: z.int() });
const statsSchema = z.object({
  journal: z.object({ appended: z.int() }),
  outbox: z.object({ pending: z.int() }),
  functions: z.array(z.object({ name: z.string(), backlog: z.int(), handled: z.int() })),
});
const eventSchema = z.object({ id: z.string(), data: z.object({ n: z.string(), u: z.string(), v: z.number(), t: z.number() }) });

const file = process.argv[2] ?? "../shared/data/air-quality.csv";
const folder = mkdtempSync(join(tmpdir(), "millrace-real-input-"));

interface Running {
  readonly program: Program;
  readonly addresses: Readonly<Record<string, string>>;
}

async function start(args: readonly string[]): Promise<Running> {
  const program = new Program([...args, "--json"]);
  const { addresses } = readySchema.parse(JSON.parse(await program.line()));
  return { program, addresses };
}

function portOf(url: string | undefined): string {
  return new URL(url ?? "").port;
}

function gatewayArgs(control: Running, ports: { mqtt: string; http: string }): string[] {
  const url = control.addresses["mqtt"] ?? "";
  return [
    "gateway",
    "--id",
    "real",
    "--data",
    join(folder, "gateway"),
    "--mqtt-port",
    ports.mqtt,
    "--http-port",
    ports.http,
    "--control",
    url,
  ];
}

async function run(args: readonly string[]): Promise<string> {
  await using program = new Program(args);
  const { code } = await program.exit;
  if (code !== 0) throw new Error(`millrace ${args.join(" ")} ended with ${code}: ${program.err}`);
  return program.out;
}

async function stats(gateway: Running): Promise<z.infer<typeof statsSchema>> {
  const response = await fetch(`${gateway.addresses["http"]}/v1/stats`);
  return statsSchema.parse(await response.json());
}

async function until(what: string, gateway: Running, reached: (now: z.infer<typeof statsSchema>) => boolean): Promise<void> {
  const end = Date.now() + SETTLE_MS_MAX;
  while (!reached(await stats(gateway))) {
    if (Date.now() > end) throw new Error(`${what} was not reached: ${JSON.stringify(await stats(gateway))}`);
    await sleep(50);
  }
}

const drained = (now: z.infer<typeof statsSchema>): boolean =>
  now.outbox.pending === 0 && now.functions.every(({ backlog }) => backlog === 0);

function expected(device: string, rows?: number): string[] {
  const args = [join(import.meta.dirname, "expected.py"), file, device, ...(rows === undefined ? [] : [String(rows)])];
  const lines = execFileSync("python3", args, { maxBuffer: 256 * 1024 * 1024 })
    .toString()
    .trim()
    .split("\n");
  return lines.map((line) => canonical(JSON.parse(line))).toSorted();
}

function canonical(measurement: unknown): string {
  const { n, u, v, t } = eventSchema.shape.data.parse(measurement);
  return JSON.stringify([n, u, v, t]);
}

/** Compares what is stored for one device with the file, as lists: one too many is as wrong as one too few. */
async function compare(what: string, control: Running, device: string, rows?: number): Promise<void> {
  const out = await run(["events", "--all", "--json", "--function", "normalize-air-quality", "--control", control.addresses["http"] ?? ""]);
  const events = out
    .trim()
    .split("\n")
    .map((line) => eventSchema.parse(JSON.parse(line)));
  const ids = new Set(events.map(({ id }) => id));
  if (ids.size !== events.length) throw new Error(`${what}: ${events.length - ids.size} events are stored twice`);
  const stored = events
    .map(({ data }) => canonical(data))
    .filter((text) => text.startsWith(`["${device}:`))
    .toSorted();
  const wanted = expected(device, rows);
  const difference = wanted.findIndex((text, index) => text !== stored[index]);
  if (stored.length !== wanted.length || difference !== -1) {
    const at = difference === -1 ? wanted.length : difference;
    throw new Error(
      `${what}: ${stored.length} measurements stored, ${wanted.length} in the file; first difference: ${wanted[at]} / ${stored[at]}`,
    );
  }
  process.stdout.write(`${what}: ${stored.length} measurements, exactly those of the file\n`);
}

function replayArgs(broker: string, device: string): string[] {
  return ["replay", file, "--topic", "sensors/{site}/{device}/raw", "--set", "site=milan", "--set", `device=${device}`, "--broker", broker];
}

async function mosquitto(gateway: Running): Promise<void> {
  const port = portOf(gateway.addresses["mqtt"]);
  const subscriber = spawn("stdbuf", ["-oL", "mosquitto_sub", "-p", port, "-q", "1", "-t", "cmd/#", "-v", "-C", "1", "-W", "20", "-d"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let out = "";
  const subscribed = Promise.withResolvers<void>();
  subscriber.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
    if (out.includes("Subscribed")) subscribed.resolve();
  });
  const closed = once(subscriber, "close");
  await subscribed.promise;
  execFileSync("mosquitto_pub", ["-p", port, "-q", "1", "-t", "sensors/milan/press-7/temp", "-m", '{"v": 91.5}']);
  await closed;
  if (!/cmd\/milan\/press-7\/fan .*"on":true/.test(out)) throw new Error(`mosquitto_sub did not see the command: ${out}`);
  process.stdout.write("mosquitto_pub → threshold-alert → mosquitto_sub: the command arrived\n");
}

async function main(): Promise<void> {
  const control = await start(["control", "--data", join(folder, "control"), "--http-port", "0", "--mqtt-port", "0"]);
  let gateway = await start(gatewayArgs(control, { mqtt: "0", http: "0" }));
  try {
    const functions = ["normalize-air-quality", "threshold-alert"].map((name) => join(import.meta.dirname, "../../functions", name));
    await run(["publish", ...functions, "--control", control.addresses["http"] ?? ""]);
    const broker = gateway.addresses["mqtt"] ?? "";

    await run(replayArgs(broker, "calm"));
    await until("an empty outbox", gateway, drained);
    await compare("undisturbed", control, "calm");
    await mosquitto(gateway);

    const replay = new Program(replayArgs(broker, "killed"));
    const { journal } = await stats(gateway);
    await until("the middle of the file", gateway, (now) => now.journal.appended > journal.appended + 4_000);
    gateway.program.child.kill("SIGKILL");
    await gateway.program.exit;
    gateway = await start(gatewayArgs(control, { mqtt: portOf(broker), http: portOf(gateway.addresses["http"]) }));
    const { code } = await replay.exit;
    if (code !== 0) throw new Error(`the replay ended with ${code}: ${replay.err}`);
    await until("an empty outbox", gateway, drained);
    await compare("killed with kill -9 in the middle", control, "killed");
    await compare("after that, the first device", control, "calm");
  } finally {
    for (const [name, { program }] of Object.entries({ gateway, control })) {
      program.child.kill("SIGTERM");
      const { code } = await program.exit;
      process.stdout.write(`${name} ended with ${code}\n`);
      if (code !== 0) process.exitCode = 1;
    }
  }
}

try {
  await main();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
