import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { seeded } from "../support/random.ts";
import { check, type Verdict } from "./checker.ts";
import { Faults } from "./faults.ts";
import { FUNCTION_NAMES } from "./functions.ts";
import { KeyLedger, Ledger } from "./ledger.ts";
import { Observer, OBSERVER_NAMES } from "./observer.ts";
import { readEvents, readOutcome } from "./outcome.ts";
import { CarelessPublisher, ExactPublisher, ForgetfulPublisher, type Publisher } from "./publisher.ts";
import { World } from "./world.ts";

const PUBLISHERS = 4;
/** Keys of each of them that wake functions; there is one more that goes from client to client. */
const KEYS_EACH = 4;
/** Keys of a publisher that sends as often as the function which it wakes takes to be idle, so that both happen at once. */
const RARE_KEYS = 4;
const RARE_PER_SECOND = 3;
const LIGHT_KEYS = 2;
const DRAIN_MS_MAX = 180_000;
const DELIVERY_MS_MAX = 30_000;

export interface TortureOptions {
  readonly seed: number;
  /** How long faults happen; starting and coming to rest is beside that. */
  readonly seconds: number;
  /** Of each key of most publishers. */
  readonly messagesPerSecond: number;
  readonly say: (line: string) => void;
  /** Keeps the folder when something is broken. */
  readonly keep: boolean;
}

export interface TortureReport extends Verdict {
  readonly seed: number;
  readonly seconds: number;
  readonly sent: number;
  readonly acknowledged: number;
  /** Of the acknowledged messages, those that went from client to client. */
  readonly plain: number;
  readonly events: number;
  readonly faults: Readonly<Record<string, number>>;
  /** Times that a process ended by itself, which a supervisor has to answer. */
  readonly ends: { readonly gateway: number; readonly control: number };
  /** What the gateway did about full disks: let clients wait while there was room for what makes room, or end. */
  readonly fullDisks: { readonly waited: number; readonly ended: number };
  readonly notes: readonly string[];
  readonly drainSeconds: number;
}

/** One run from beginning to end. @throws Error when it cannot even start */
export async function torture(options: TortureOptions): Promise<TortureReport> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-torture-"));
  let broken = true;
  try {
    const report = await run(folder, options);
    broken = report.problems.length > 0;
    return report;
  } finally {
    if (broken && options.keep) options.say(`everything is left in ${folder}`);
    else await rm(folder, { recursive: true, force: true });
  }
}

async function run(folder: string, options: TortureOptions): Promise<TortureReport> {
  const { seed, seconds, say } = options;
  await using world = await World.start(folder);
  const { disk, gateway, control } = world.parts;
  const notes = disk.problem === undefined ? [] : [`no full disk in this run: ${disk.problem}`];
  const ledger = new Ledger(keysOf());
  await using clients = new AsyncDisposableStack();
  clients.use(await Observer.connect(world.parts.ports.mqtt, "near", ledger));
  clients.use(await Observer.connect(world.parts.subscribers.port, "far", ledger));
  const publishers = publishersOf(world, ledger, options).map((one) => clients.use(one));
  const stopping = new AbortController();
  const publishing = Promise.all(publishers.map((one) => one.run(stopping.signal)));
  const faults = new Faults(world, seeded(seed));
  say(`seed ${seed}: faults for ${seconds} s`);
  await faults.run(AbortSignal.timeout(seconds * 1_000));
  stopping.abort();
  const drainedFrom = performance.now();
  const unrest = await rest(world, ledger, publishing);
  const drainSeconds = (performance.now() - drainedFrom) / 1_000;
  const events = await readEvents(world.parts.api);
  await Promise.all([gateway.close(), control.close()]);
  const places = ledger.keys.flatMap(({ key }) => FUNCTION_NAMES.map((name) => ({ name, key })));
  const outcome = await readOutcome(world.data, events, places);
  const verdict = check(ledger, outcome);
  return {
    ...verdict,
    problems: [...unrest, ...verdict.problems, ...faults.missing().map((name) => `never came about: ${name}`)],
    seed,
    seconds,
    sent: ledger.sent("in", "rare", "plain"),
    acknowledged: ledger.acknowledged("in", "rare", "plain"),
    plain: ledger.acknowledged("plain"),
    events: outcome.eventCount,
    faults: Object.fromEntries(faults.counts),
    ends: { gateway: gateway.ends.itself, control: control.ends.itself },
    fullDisks: await world.fullDisks(),
    notes,
    drainSeconds,
  };
}

function keysOf(): KeyLedger[] {
  const keys = Array.from({ length: PUBLISHERS * (KEYS_EACH + 1) }, (_, i) => {
    const way = i < PUBLISHERS * KEYS_EACH ? "in" : "plain";
    return new KeyLedger(`p${i % PUBLISHERS}-k${i}`, way, i % 2 === 0 ? 2 : 1);
  });
  const rare = Array.from({ length: RARE_KEYS }, (_, i) => new KeyLedger(`rare-${i}`, "rare", 2));
  const light = Array.from({ length: LIGHT_KEYS }, (_, i) => new KeyLedger(`light-${i}`, "light", 0));
  return [...keys, ...rare, ...light];
}

function publishersOf(world: World, ledger: Ledger, { messagesPerSecond }: TortureOptions): Publisher[] {
  const { port } = world.parts.devices;
  const loud = [...ledger.of("in"), ...ledger.of("plain")];
  const all: Publisher[] = Array.from({ length: PUBLISHERS }, (_, i) => {
    const keys = loud.filter((_key, index) => index % PUBLISHERS === i);
    const options = { port, name: `publisher-${i}`, keys, messagesPerSecond };
    return i % 2 === 0 ? new ExactPublisher(options) : new ForgetfulPublisher(options);
  });
  return [
    ...all,
    new ExactPublisher({ port, name: "publisher-rare", keys: ledger.of("rare"), messagesPerSecond: RARE_PER_SECOND }),
    new CarelessPublisher({ port, name: "publisher-light", keys: ledger.of("light"), messagesPerSecond }),
  ];
}

/** Everything works again; waits until everything is done, and says what is not. */
async function rest(world: World, ledger: Ledger, publishing: Promise<unknown>): Promise<string[]> {
  const { link, devices, subscribers, disk } = world.parts;
  await disk.free();
  devices.reset();
  subscribers.reset();
  // What a silent cut left behind would be noticed in the end; here it is not worth the wait.
  link.reset();
  let published = false;
  const ended = publishing.then(() => (published = true));
  let last = "nothing";
  let seq = -1;
  const quiet = async (): Promise<boolean> => {
    const stats = await world.stats();
    if (stats === undefined) return false;
    const backlog = stats.functions.reduce((sum, one) => sum + one.backlog, 0);
    last = JSON.stringify({ published, backlog, outbox: stats.outbox.pending, connected: stats.link.connected });
    const still = seq === stats.journal.seq;
    seq = stats.journal.seq;
    return published && still && backlog === 0 && stats.outbox.pending === 0 && stats.link.connected;
  };
  try {
    await world.until(quiet, "everything is handled and uploaded", DRAIN_MS_MAX);
    await ended;
  } catch {
    return [`it does not come to rest: ${last}`];
  }
  // Whatever is not there by then is missing, and the check names it.
  const deadline = performance.now() + DELIVERY_MS_MAX;
  const delivered = [...ledger.of("in"), ...ledger.of("plain")];
  const open = (): boolean =>
    delivered.some((one) => OBSERVER_NAMES.some((name) => [...one.acknowledged].some((n) => !one.received(name).times.has(n))));
  while (open() && performance.now() < deadline) await sleep(100);
  return [];
}
