import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Bundle } from "../../../src/core/bundle.ts";
import { type Clock, systemClock } from "../../../src/core/clock.ts";
import { Drops } from "../../../src/core/drops.ts";
import { MillraceError } from "../../../src/core/errors.ts";
import { Cursor } from "../../../src/core/cursor.ts";
import type { EmittedEvent } from "../../../src/core/event.ts";
import { silentLogger } from "../../../src/core/log.ts";
import { DEFAULT_RULE, type OutboxRule } from "../../../src/core/outbox-rules.ts";
import type { Journal } from "../../../src/journal/journal.ts";
import type { Outbox } from "../../../src/journal/outbox.ts";
import type { Deployer, ReportedFunction } from "../../../src/sync/reconciler.ts";
import type { Target } from "../../../src/sync/failures.ts";
import type { UploadOptions } from "../../../src/sync/uploader.ts";
import { commit, commitOf, openJournal } from "../../support/journal.ts";
import { startSync, type Sync } from "../../../src/sync/sync.ts";

export const GATEWAY = "gw-1";

export async function temporaryFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), "millrace-sync-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Time that runs faster, so that back-off and time-outs keep their proportions and tests stay short. */
export function fastClock(factor: number): Clock {
  const start = Date.now();
  return {
    now: () => start + (Date.now() - start) * factor,
    elapsed: () => performance.now() * factor,
    sleep: (ms, signal) => systemClock.sleep(ms / factor, signal),
  };
}

/** The gateway's real outbox, in a journal of its own. */
export class TestOutbox implements AsyncDisposable {
  readonly outbox: Outbox;
  readonly drops: Drops;
  readonly #journal: Journal;
  #added = 0;

  private constructor(journal: Journal, drops: Drops) {
    this.#journal = journal;
    this.outbox = journal.outbox;
    this.drops = drops;
  }

  static async open(folder: string): Promise<TestOutbox> {
    const drops = new Drops();
    return new TestOutbox(await openJournal(join(folder, "journal"), {}, { drops }), drops);
  }

  async add(count: number, data = '{"v":1}', rule: OutboxRule = DEFAULT_RULE): Promise<void> {
    const events = Array.from({ length: count }, (): EmittedEvent => {
      const id = `${GATEWAY}:${++this.#added}:celsius:0`;
      return { id, function: "celsius", version: 1, type: "measurement", subject: `d${this.#added}`, time: 1_700_000_000_000, data, rule };
    });
    await commit(this.#journal, commitOf("celsius", new Cursor(1), { events }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#journal.close();
  }
}

/** Keeps what it is told to run, and does as a test says: `before` may wait or throw. */
export class RecordingDeployer implements Deployer {
  readonly running = new Map<string, Target & { code: string }>();
  readonly history: string[] = [];
  readonly refused: string[] = [];
  /** What the journal of a real gateway knows. */
  handledLast: readonly Target[] = [];
  before: (target: Target) => Promise<void> = () => Promise.resolve();

  async deploy({ name, version, digest }: Target, bundle: Bundle): Promise<void> {
    const now = this.running.get(name);
    if (now?.digest === digest && now.version === version) return;
    this.history.push(`${name} v${version}`);
    await this.before({ name, version, digest });
    this.running.set(name, { name, version, digest, code: bundle.code });
  }

  async remove(name: string): Promise<void> {
    this.running.delete(name);
    this.history.push(`${name} removed`);
  }

  refuse({ name, version }: Target, error: string): void {
    this.refused.push(`${name} v${version}: ${error}`);
  }

  known(): readonly Target[] {
    return this.handledLast;
  }

  reported(): ReportedFunction[] {
    return [...this.running.values()].map(({ name, version, digest }) => ({ name, version, digest, state: "active" }));
  }
}

export function loadFailure(target: Target): Promise<never> {
  return Promise.reject(new MillraceError("FUNCTION_LOAD_FAILED", `${target.name} v${target.version} does not load`));
}

export interface SyncParts {
  readonly url: string;
  readonly data: string;
  readonly outbox: TestOutbox;
  readonly deployer?: Deployer;
  readonly clock?: Clock;
  readonly upload?: UploadOptions;
}

export function newSync({ url, data, outbox, deployer = new RecordingDeployer(), clock = systemClock, upload }: SyncParts): Sync {
  const options = {
    gateway: GATEWAY,
    url,
    data: join(data, "sync"),
    version: "0.1.0",
    labels: { site: "milan" },
    ...(upload && { upload }),
  };
  return startSync(options, { outbox: outbox.outbox, deployer, drops: outbox.drops }, { logger: silentLogger, clock });
}

/** A TCP relay that can be cut: what is on its way is lost, as when a cable is pulled. */
export class Relay implements AsyncDisposable {
  readonly url: string;
  readonly #close: () => Promise<void>;
  readonly #sockets: Set<Socket>;
  cuts = 0;

  private constructor(url: string, sockets: Set<Socket>, close: () => Promise<void>) {
    this.url = url;
    this.#sockets = sockets;
    this.#close = close;
  }

  static async to(address: string): Promise<Relay> {
    const { port, hostname } = new URL(address);
    const sockets = new Set<Socket>();
    const server = createServer((near) => {
      const far = connect(Number(port), hostname);
      for (const socket of [near, far]) {
        sockets.add(socket);
        socket.on("error", () => undefined);
        socket.on("close", () => sockets.delete(socket));
      }
      near.pipe(far).pipe(near);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const at = server.address();
    if (at === null || typeof at === "string") throw new Error("no port");
    return new Relay(`mqtt://127.0.0.1:${at.port}`, sockets, () => new Promise((resolve) => server.close(() => resolve())));
  }

  cut(): void {
    this.cuts += 1;
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await this.#close();
  }
}
