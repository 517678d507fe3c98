import { join } from "node:path";
import packageJson from "../package.json" with { type: "json" };
import { Access } from "./broker/access/access.ts";
import { accessOptions, reachedAt } from "./broker/access/access-options.ts";
import { Broker } from "./broker/broker.ts";
import { brokerOptions } from "./broker/broker-options.ts";
import { Deliveries } from "./broker/deliveries.ts";
import type { Intake } from "./broker/intake.ts";
import { Arrivals } from "./core/arrivals.ts";
import { systemClock } from "./core/clock.ts";
import { Drops } from "./core/drops.ts";
import type { GatewayConfig } from "./core/gateway-config.ts";
import { once, type Service } from "./core/lifecycle.ts";
import type { Logger } from "./core/log.ts";
import type { GatewayStats } from "./core/stats.ts";
import { CallPlaces } from "./http/call-places.ts";
import type { HttpParts, TraceSource } from "./http/parts.ts";
import { type HttpOptions, startHttp } from "./http/server.ts";
import { Journal, type JournalOptions } from "./journal/journal.ts";
import type { Consumers } from "./journal/keeper.ts";
import { handIn } from "./runtime/hand-in.ts";
import { hostGroups as capOfHosts, type MemoryCap } from "./runtime/host-groups.ts";
import { Inspections } from "./runtime/inspections.ts";
import { LogRing } from "./runtime/logs.ts";
import { LogStore } from "./runtime/log-store.ts";
import type { PublishRules } from "./runtime/outside.ts";
import { Replays } from "./runtime/replays.ts";
import { Runtime } from "./runtime/runtime.ts";
import type { RuntimeOptions } from "./runtime/runtime-options.ts";
import { TraceRecorder } from "./runtime/trace-recorder.ts";
import { UsageRecorder } from "./runtime/usage-recorder.ts";
import { secretsPlace } from "./runtime/secrets/secret-file.ts";
import { SecretStore } from "./runtime/secrets/secret-store.ts";
import type { ReportedFunction } from "./sync/reconciler.ts";
import { startSync, type Sync } from "./sync/sync.ts";

/** How often events that have expired are looked for. */
const SWEEP_INTERVAL_MS = 5_000;

/** A running gateway. Closing it, once, stops everything in the reverse order of its start. */
export interface Gateway extends Service {
  /** Further listeners of the broker are there by their names. */
  readonly addresses: { readonly mqtt: string; readonly http: string; readonly [listener: string]: string };
  stats(): GatewayStats;
  /** Looks at certificates, users and rules at once, where it would find by itself later that they have changed. */
  reload(): void;
  close(): Promise<void>;
}

/** What functions log; on disk as well when that is wanted. */
interface Logs {
  readonly ring: LogRing;
  readonly store: LogStore | undefined;
}

interface Parts {
  readonly config: GatewayConfig;
  readonly journal: Journal;
  readonly arrivals: Arrivals;
  readonly broker: Broker;
  readonly runtime: Runtime;
  readonly logs: Logs;
  readonly traces: TraceRecorder | undefined;
  readonly sync: Sync;
  readonly drops: Drops;
  readonly replays: Replays;
  readonly inspections: Inspections;
  readonly history: UsageRecorder;
  readonly memoryCap: MemoryCap;
  readonly callPlaces: CallPlaces;
  readonly startedAt: string;
  closing: boolean;
}

/**
 * Puts the parts of a gateway together. Clients are let in only when everything that their messages wake is in place again.
 * @throws MillraceError DATA_LOCKED, DATA_UNWRITABLE, DATA_CORRUPT, DISK_FULL, FILE_UNREADABLE, CERTIFICATE_INVALID, PORT_IN_USE, LISTEN_FAILED, HOST_CRASHED,
 * USERS_INVALID, ACCESS_INVALID
 */
export async function startGateway(config: GatewayConfig, deps: { logger: Logger }): Promise<Gateway> {
  const { logger } = deps;
  await using stack = new AsyncDisposableStack();
  const drops = new Drops();
  const journal = stack.use(await Journal.open(journalOptions(config, drops)));
  const { problems } = journal.opened;
  logger[problems.length > 0 ? "error" : "info"](journal.opened, problems.length > 0 ? "the journal was damaged" : "the journal is open");
  const logs = await openLogs(config, drops, logger);
  stack.use(logs.store);
  const wakes: { runtime?: Runtime } = {};
  const access = stack.use(new Access(accessOptions(config), logger));
  const broker = stack.use(await Broker.create(brokerOptions(config, access), intake(journal, wakes), logger));
  const { id: gateway, runtime: limits } = config;
  const memoryCap = capMemory(limits.host_cgroups, logger);
  const hostGroups = memoryCap.by === "kernel" ? memoryCap.groups : undefined;
  const late: { sync?: Sync } = {};
  const traces = stack.use(createTraces(config, { journal, drops }, logger));
  const own = { hostGroups, drops, logs: logs.ring, traces, changed: () => late.sync?.report() };
  const runtime = stack.use(await Runtime.start({ ...runtimeOptions(config, access.functions), ...own }, journal, logger));
  wakes.runtime = runtime;
  const arrivals = new Arrivals();
  handOn(journal, { runtime, broker, arrivals });
  tellPressure(journal, runtime, logger);
  const sync = stack.use(createSync(config, { journal, runtime, drops }, logger));
  late.sync = sync;
  await sync.restore();
  await journal.redeliver();
  runtime.begin();
  await journal.keep(consumers(config, { runtime, logs, traces }, logger));
  const replays = stack.use(new Replays({ gateway, runtime, journal, hostGroups }, logger));
  const history = stack.use(createRecorder(journal, runtime, logger));
  const parts: Parts = {
    config,
    history,
    journal,
    arrivals,
    broker,
    runtime,
    logs,
    traces,
    sync,
    drops,
    replays,
    memoryCap,
    callPlaces: new CallPlaces(config.http.bytes_max),
    inspections: new Inspections((name) => runtime.deployed(name)),
    startedAt: new Date().toISOString(),
    closing: false,
  };
  const http = stack.use(await startHttp(httpOptions(config, parts), httpParts(parts), { logger }));
  await broker.listen();
  access.explain(reachedAt(config.mqtt));
  if (config.control.url !== "") sync.connect();
  stack.use(sweepOutbox(journal, logger));
  const owned = stack.move();
  const close = once(() => {
    parts.closing = true;
    return owned.disposeAsync();
  });
  return {
    addresses: { mqtt: broker.address, http: http.address, ...listenerAddresses(broker) },
    stopped: Promise.race([journal.stopped, broker.stopped, sync.stopped]),
    stats: () => statsOf(parts),
    reload: () => lookAgain({ access, broker }, logger),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function httpOptions({ http, mqtt }: GatewayConfig, { callPlaces: places }: Parts): HttpOptions {
  const { host, port, request_timeout: requestTimeoutMs } = http;
  return { host, port, places, requestTimeoutMs, payloadBytesMax: mqtt.payload_bytes_max };
}

/** What is written goes to the functions and to subscribers. */
function handOn(journal: Journal, { runtime, broker, arrivals }: Pick<Parts, "runtime" | "broker" | "arrivals">): void {
  const deliveries = new Deliveries(broker, (name, on) => runtime.hold(name, on));
  journal.subscribe({
    incoming: (messages) => {
      runtime.accept(messages);
      arrivals.announce();
    },
    publishes: (number, records, consumer) => deliveries.deliver(consumer, records, () => journal.delivered(number)),
    deadLettersFree: () => runtime.lettersFree(),
  });
}

function tellPressure(journal: Journal, runtime: Runtime, logger: Logger): void {
  journal.outbox.onPressure((pressure) => {
    if (pressure !== 0) logger.warn("the outbox is full: functions that emit wait, as their manifests say");
    runtime.outboxPressure(pressure);
  });
}

function lookAgain({ access, broker }: { readonly access: Access; readonly broker: Broker }, logger: Logger): void {
  logger.info("certificates, users and access rules are looked at again");
  access.look();
  broker.reload();
}

function runtimeOptions(
  { id: gateway, data, runtime, fetch, secrets: { key_file: keyFile } }: GatewayConfig,
  rules: PublishRules,
): Omit<RuntimeOptions, "drops" | "logs"> {
  const { hosts, own_hosts_max: ownHostsMax, host_memory_max: hostMemoryMax, pending_max: pendingMax } = runtime;
  const { requests_max: requestsMax, function_requests_max: functionRequestsMax, bytes_max: bytesMax } = fetch;
  const secrets = new SecretStore(secretsPlace(data, keyFile));
  const outside = { rules, secrets, fetch: { requestsMax, functionRequestsMax, bytesMax, userAgent: `millrace/${packageJson.version}` } };
  return { gateway, hosts, ownHostsMax, hostMemoryMax, pendingMax, outside };
}

function sweepOutbox(journal: Journal, logger: Logger): Disposable {
  const sweep = setInterval(() => {
    journal.outbox.sweep().catch((error: unknown) => logger.error({ err: error }, "expired events could not be dropped"));
  }, SWEEP_INTERVAL_MS).unref();
  return { [Symbol.dispose]: () => clearInterval(sweep) };
}

function journalOptions({ data, journal, outbox, dead_letters: letters }: GatewayConfig, drops: Drops): JournalOptions {
  return {
    location: join(data, "journal"),
    batchMax: journal.batch_max,
    durability: journal.durability,
    compression: journal.compression,
    syncIntervalMs: journal.sync_interval,
    retentionAgeMs: journal.retention_age,
    retentionBytes: journal.retention_bytes,
    bytesMax: journal.bytes_max,
    freeSpaceMin: journal.free_space_min,
    deadLettersBytesMax: letters.bytes_max,
    outboxBytesMax: outbox.bytes_max,
    outboxLaneBytesMax: outbox.lane_bytes_max,
    drops,
  };
}

async function openLogs({ data, logs: { store, bytes_max: bytesMax } }: GatewayConfig, drops: Drops, logger: Logger): Promise<Logs> {
  const ring = new LogRing();
  return {
    ring,
    store: store === "disk" ? await LogStore.open({ location: join(data, "logs"), bytesMax, ring, drops, logger }) : undefined,
  };
}

function consumers(
  { journal }: GatewayConfig,
  { runtime, logs, traces }: Pick<Parts, "runtime" | "logs" | "traces">,
  logger: Logger,
): Consumers {
  return {
    consumed: () => runtime.floor,
    pressure: (pressure) => {
      logger.warn(pressure, pressure.over ? "the journal is full: messages wait" : "the journal takes messages again");
      runtime.shed(pressure);
    },
    lowSpace: (low) => {
      const about = { free_space_min: journal.free_space_min };
      logs.store?.hold(low);
      traces?.hold(low);
      logger.warn(about, low ? "the disk is nearly full: messages wait" : "the disk has space again: messages are taken");
    },
  };
}

function intake(journal: Journal, wakes: { readonly runtime?: Runtime }): Intake {
  return {
    ledger: journal.qos2,
    matches: (topic) => wakes.runtime?.matches(topic) ?? "none",
    append: (entry, done) => journal.append(entry, done),
    appendOnce: (client, packetId, entry, done) => journal.qos2.append(client, packetId, entry, done),
  };
}

function capMemory(use: GatewayConfig["runtime"]["host_cgroups"], logger: Logger): MemoryCap {
  const cap = capOfHosts(use);
  if (cap.by === "kernel")
    logger.info({ group: cap.groups.path }, "the kernel limits the memory of host processes, in control groups of their own");
  else
    logger[use === "on" ? "warn" : "info"]({ reason: cap.reason }, "the memory of host processes is watched; the kernel does not limit it");
  return cap;
}

function createSync(config: GatewayConfig, parts: { journal: Journal; runtime: Runtime; drops: Drops }, logger: Logger): Sync {
  const { runtime, drops } = parts;
  const { outbox } = config;
  const options = {
    gateway: config.id,
    url: config.control.url,
    data: join(config.data, "sync"),
    version: packageJson.version,
    labels: config.labels,
    upload: { backlogShare: outbox.backlog_share, rateMax: outbox.rate_max, compression: outbox.compression },
  };
  const deployer = {
    deploy: runtime.deploy.bind(runtime),
    remove: runtime.remove.bind(runtime),
    refuse: runtime.refuse.bind(runtime),
    known: () => runtime.known,
    reported: (): ReportedFunction[] =>
      runtime.stats().functions.map(({ name, version, digest, state, error }) => {
        const problems = runtime.deployed(name)?.outside.secrets.problems() ?? [];
        const about = { name, version, digest, state, ...(error === undefined ? {} : { error }) };
        return problems.length === 0 ? about : { ...about, problems };
      }),
  };
  return startSync(options, { outbox: parts.journal.outbox, deployer, drops }, { logger });
}

function createRecorder(journal: Journal, runtime: Runtime, logger: Logger): UsageRecorder {
  const recorder = new UsageRecorder({ store: journal.history, clock: systemClock, logger, functions: () => runtime.recorded() });
  recorder.start();
  return recorder;
}

/** Undefined when nothing is to be recorded. */
function createTraces(
  { traces }: GatewayConfig,
  { journal, drops }: { journal: Journal; drops: Drops },
  logger: Logger,
): TraceRecorder | undefined {
  const { rate_max: rateMax, sample_max: sampleMax, bytes_max: bytesMax } = traces;
  if (rateMax + sampleMax === 0) return undefined;
  return new TraceRecorder({ store: journal.traces, bytesMax, rateMax, sampleMax, drops, logger });
}

function traceSource({ journal, runtime, traces }: Parts): TraceSource {
  return {
    ofMessage: async (seq, limit) => {
      await traces?.flush();
      return journal.traces.ofMessage(seq, limit);
    },
    ofTrace: async (traceId, limit) => {
      await traces?.flush();
      return journal.traces.ofTrace(traceId, limit);
    },
    progress: (message) => runtime.progress(message),
    deadLetter: (name, seq) => journal.deadLetter(name, seq),
    fateOf: (outbox) => journal.outbox.fateOf(Buffer.from(outbox, "base64")),
  };
}

function httpParts(parts: Parts): HttpParts {
  const { runtime, journal, arrivals, logs } = parts;
  return {
    stats: () => statsOf(parts),
    ready: () => !parts.closing,
    logs: async (query, signal) => (logs.store === undefined ? logs.ring.query(query) : logs.store.query(query, signal)),
    waitForLogs: (after, signal) => logs.ring.more(after, signal),
    invoke: (name, message, options) => runtime.invoke(name, message, options),
    deadLetters: (query) => journal.deadLetters(query.function, query.limit),
    clearDeadLetters: (name) => journal.clearDeadLetters(name),
    journal: {
      read: (from, max) => journal.read(from, max),
      seqAt: (time) => journal.seqAt(time),
      nextSeq: () => journal.nextSeq,
      arrival: (signal) => arrivals.next(signal),
    },
    replays: parts.replays,
    calls: runtime.http,
    inspect: (name, request) => parts.inspections.begin(name, request),
    history: parts.history,
    traces: traceSource(parts),
    clients: parts.broker.connections,
    handIn: (request, messages) =>
      handIn(request, messages, { deployed: (name) => runtime.deployed(name), append: (entry, done) => journal.append(entry, done) }),
  };
}

function listenerAddresses({ listeners }: Broker): Record<string, string> {
  return Object.fromEntries(listeners.slice(1).map(({ name, address }) => [name, address]));
}

function brokerStats({ clients, counters, inflight, listeners, stored }: Broker): GatewayStats["broker"] {
  return { clients, ...counters, inflightBytes: inflight.bytes, inflightWaits: inflight.waits, listeners, stored };
}

function statsOf({ config, journal, broker, runtime, sync, drops, memoryCap, callPlaces, startedAt }: Parts): GatewayStats {
  const { functions, ...hosts } = runtime.stats();
  const { uploaded, rejected, ...link } = sync.status();
  return {
    gateway: config.id,
    version: packageJson.version,
    startedAt,
    pid: process.pid,
    labels: config.labels,
    broker: brokerStats(broker),
    calls: callPlaces.stats,
    journal: {
      appended: journal.appended,
      seq: journal.nextSeq - 1,
      floor: runtime.floor,
      commits: journal.commits,
      ...journal.kept,
      waiting: journal.waiting,
      opened: journal.opened,
    },
    deadLetters: journal.deadLettersUsage,
    runtime: { ...hosts, memoryCap: memoryCap.by },
    outbox: { pending: journal.outbox.pending, uploaded, rejected },
    link,
    drops: drops.all(),
    functions,
  };
}
