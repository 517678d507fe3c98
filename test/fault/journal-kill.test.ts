import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { connect, type MqttClient } from "mqtt";
import { describe, expect, it } from "vitest";
import { openJournal } from "../support/journal.ts";
import { seeded } from "../support/random.ts";
import { TempFolder } from "../support/temp-folder.ts";

/**
 * The invariant: whatever moment `kill -9` comes at, in the end
 *
 *   every QoS 2 message is handled exactly once, every acknowledged QoS 1 message at least once;
 *   what a function counted in its state is what it said in events, without gap or repetition: 1, 2, 3 … for each key;
 *   what a function passed on woke the next one exactly as often as it said so;
 *   no two events have the same id.
 */
const GATEWAY = new URL("journal-kill-gateway.ts", import.meta.url).pathname;
const ROUNDS = 4;
const KEYS = 3;
const IN_FLIGHT_MAX = 20;

interface Seen {
  readonly type: string;
  readonly id: string;
  readonly key: string;
  readonly message: string;
  readonly count: number;
}

/** Publishes numbered messages of one QoS until it is stopped; its session survives every restart. */
class Publisher implements AsyncDisposable {
  readonly acknowledged: string[] = [];
  readonly #client: MqttClient;
  readonly #name: string;
  readonly #qos: 1 | 2;
  #stopped = false;
  #sent = 0;

  constructor(port: number, name: string, qos: 1 | 2) {
    this.#client = connect({ host: "127.0.0.1", port, clientId: name, clean: false, reconnectPeriod: 20, connectTimeout: 5_000 });
    this.#client.on("error", () => undefined); // The broker is killed over and over.
    this.#name = name;
    this.#qos = qos;
  }

  /** Resolves when everything that was sent is acknowledged or given up. */
  async run(): Promise<void> {
    await Promise.all(
      Array.from({ length: IN_FLIGHT_MAX }, async () => {
        while (!this.#stopped) {
          const message = `${this.#name} ${++this.#sent}`;
          const published = this.#client.publishAsync(`in/k${this.#sent % KEYS}`, JSON.stringify(message), { qos: this.#qos });
          // The library gives up messages that it was about to send when the connection broke. They are not acknowledged.
          await published.then(
            () => this.acknowledged.push(message),
            () => undefined,
          );
        }
      }),
    );
  }

  stop(): void {
    this.#stopped = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.endAsync(true);
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function start(folder: string, port: number, own: AsyncDisposableStack): Promise<ChildProcess> {
  const child = spawn(process.execPath, ["--no-node-snapshot", GATEWAY, folder, String(port)], { stdio: ["ignore", "pipe", "inherit"] });
  own.defer(() => void child.kill("SIGKILL"));
  const [first] = (await Promise.race([once(child.stdout, "data"), once(child, "close")])) as unknown[];
  if (!String(first).startsWith("ready")) throw new Error("the gateway did not start");
  return child;
}

async function end(child: ChildProcess, signal: "SIGKILL" | "SIGTERM"): Promise<void> {
  const closed = once(child, "close");
  child.kill(signal);
  await closed;
}

async function whatHappened(folder: string): Promise<{ events: Seen[]; counts: Record<string, number> }> {
  const journal = await openJournal(`${folder}/journal`);
  const events = (await journal.outbox.read(0, 1_000_000)).map(({ event }): Seen => {
    const data = JSON.parse(event.data) as string | { message: string; count: number };
    const { message, count } = typeof data === "string" ? { message: data, count: 0 } : data;
    return { type: event.type, id: event.id, key: event.subject, message, count };
  });
  const counts: Record<string, number> = {};
  for (let key = 0; key < KEYS; key++) {
    const [stored] = await journal.loadState("counting", `k${key}`);
    counts[`k${key}`] = Number(stored?.value.toString());
  }
  expect(await journal.deadLetters(undefined, 10)).toEqual([]);
  await journal.close();
  return { events, counts };
}

describe.each([1, 2])("a gateway that is killed over and over, with seed %i", (seed) => {
  it("loses nothing that it acknowledged and counts nothing twice", async () => {
    await using folder = await TempFolder.make();
    const random = seeded(seed);
    const port = await freePort();
    await using own = new AsyncDisposableStack();
    const publisher = (name: string, qos: 1 | 2): Publisher => own.use(new Publisher(port, name, qos));
    const exact = [publisher("once-a", 2), publisher("once-b", 2)];
    const publishers = [...exact, publisher("least-a", 1), publisher("least-b", 1)];
    const running = Promise.all(publishers.map((one) => one.run()));
    for (let round = 1; round < ROUNDS; round++) {
      const child = await start(folder.path, port, own);
      await new Promise((resolve) => setTimeout(resolve, 50 + random() * 400)); // The moment of the kill, not a wait for something.
      await end(child, "SIGKILL");
    }
    const child = await start(folder.path, port, own);
    for (const one of publishers) one.stop();
    await running;
    await end(child, "SIGTERM");

    const { events, counts } = await whatHappened(folder.path);
    const counted = events.filter(({ type }) => type === "counted");
    const times = new Map<string, number>();
    for (const { message } of counted) times.set(message, (times.get(message) ?? 0) + 1);
    expect(publishers.flatMap(({ acknowledged }) => acknowledged).filter((message) => !times.has(message))).toEqual([]);
    expect([...times].filter(([message, often]) => message.startsWith("once") && often > 1)).toEqual([]);
    for (const { acknowledged } of publishers) expect(acknowledged.length).toBeGreaterThan(20);

    expect(new Set(events.map(({ id }) => id)).size).toBe(events.length);
    for (const [key, count] of Object.entries(counts)) {
      expect(counted.filter((event) => event.key === key).map((event) => event.count)).toEqual(
        Array.from({ length: count }, (_, i) => i + 1),
      );
    }
    const passedOn = events.filter(({ type }) => type === "relayed");
    for (const key of Object.keys(counts)) {
      expect(passedOn.filter((event) => event.key === key).map(({ message }) => message)).toEqual(
        counted.filter((event) => event.key === key).map(({ message }) => message),
      );
    }
  });
});
