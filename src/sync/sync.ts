import { join } from "node:path";
import { type Clock, systemClock } from "../core/clock.ts";
import { MillraceError } from "../core/errors.ts";
import type { Dropped } from "../core/drops.ts";
import { once, type Service } from "../core/lifecycle.ts";
import { decodeLink, encodeLink } from "../core/link.ts";
import { artifactChunkSchema, type ArtifactGet, desiredSchema, eventAckSchema, type Reported } from "../core/link-messages.ts";
import type { Logger } from "../core/log.ts";
import { Artifacts } from "./artifacts.ts";
import { Fetcher } from "./fetch.ts";
import { LinkClient, type LinkStatus } from "./link-client.ts";
import { type Deployer, Reconciler, type Restored } from "./reconciler.ts";
import { type Outbox, type UploadOptions, Uploader } from "./uploader.ts";

export interface SyncOptions {
  readonly gateway: string;
  /** `mqtt://HOST:PORT` of the control plane. */
  readonly url: string;
  /** Folder for bundles and for the list of what runs; created when missing. */
  readonly data: string;
  /** Millrace's own version. */
  readonly version: string;
  readonly labels: Readonly<Record<string, string>>;
  /** `UPLOAD_DEFAULTS` without it. */
  readonly upload?: UploadOptions;
}

export interface SyncParts {
  readonly outbox: Outbox;
  readonly deployer: Deployer;
  /** What the gateway dropped by choice since its start; nothing without it. */
  readonly drops?: { all(): readonly Dropped[] };
}

export interface SyncDeps {
  readonly logger: Logger;
  readonly clock?: Clock;
  readonly random?: () => number;
}

export interface SyncStatus extends LinkStatus {
  /** Events that the control plane confirmed since the start. */
  readonly uploaded: number;
  /** Events that can never be stored, since the start. */
  readonly rejected: number;
}

export interface Sync extends Service {
  /**
   * Starts what ran before, from this disk alone, so that it can be awaited before the gateway's listeners open. A function that cannot be
   * restored is no error: it is fetched once the link is there.
   * @throws MillraceError FILE_UNREADABLE
   */
  restore(): Promise<Restored>;
  /** Opens the link, once: uploads the outbox and follows the desired state. Returns at once; a link that is down is a state, no error. */
  connect(): void;
  status(): SyncStatus;
  /** Tells the control plane what runs here; to be called when the deployer's report changed by itself. */
  report(): void;
  close(): Promise<void>;
}

/** How often what was dropped and what functions lack is reported, if there is something new. */
const NEWS_REPORT_MS = 30_000;
/** How long the answer to a hello may take before it is said again. */
const HELLO_TIMEOUT_MS = 10_000;

/** The gateway's end of the link. Does nothing until it is told to `restore` and then to `connect`. */
export function startSync(options: SyncOptions, parts: SyncParts, deps: SyncDeps): Sync {
  return new LinkedSync(options, parts, { logger: deps.logger, clock: deps.clock ?? systemClock, random: deps.random ?? Math.random });
}

class LinkedSync implements Sync {
  readonly #options: SyncOptions;
  readonly #deps: { readonly logger: Logger; readonly clock: Clock; readonly random: () => number };
  readonly #startedAt: string;
  readonly #link: LinkClient;
  readonly #uploader: Uploader;
  readonly #fetcher: Fetcher;
  readonly #reconciler: Reconciler;
  readonly #drops: () => Dropped[];
  readonly #end = new AbortController();
  readonly #stopped = Promise.withResolvers<void>();
  /** Ends with the present connection. */
  #connection = new AbortController();
  /** Ends when the present connection's hello was answered. */
  #greeting = new AbortController();
  #running: Promise<unknown> | undefined;

  constructor(options: SyncOptions, { outbox, deployer, drops }: SyncParts, deps: Required<SyncDeps>) {
    this.#drops = () => [...(drops?.all() ?? [])];
    this.#options = options;
    this.#deps = deps;
    this.#startedAt = new Date(deps.clock.now()).toISOString();
    const handlers = {
      connected: () => this.#connected(),
      disconnected: () => this.#disconnected(),
      message: (name: string, payload: Uint8Array) => this.#message(name, payload),
    };
    this.#link = new LinkClient(options, handlers, deps);
    this.#uploader = new Uploader(outbox, (payload) => this.#link.publish("events", payload), deps, options.upload);
    this.#fetcher = new Fetcher((wanted: ArtifactGet) => this.#link.publish("artifact/get", encodeLink(wanted)), deps.clock);
    const reconcilerParts = {
      artifacts: new Artifacts(join(options.data, "artifacts")),
      deployer,
      appliedPath: join(options.data, "applied.json"),
      fetch: (digest: string, signal: AbortSignal) => this.#fetcher.pieces(digest, AbortSignal.any([signal, this.#connection.signal])),
      changed: () => this.report(),
    };
    this.#reconciler = new Reconciler(reconcilerParts, deps);
    // Whoever does not watch `stopped` awaits `close` instead.
    this.#stopped.promise.catch(() => undefined);
  }

  get stopped(): Promise<void> {
    return this.#stopped.promise;
  }

  restore(): Promise<Restored> {
    return this.#reconciler.restore();
  }

  connect(): void {
    const { signal } = this.#end;
    this.#running ??= Promise.all([this.#link.run(signal), this.#uploader.run(signal), this.#reconciler.run(signal)]).then(
      () => this.#stopped.resolve(),
      (error: unknown) => this.#stopped.reject(error),
    );
  }

  status(): SyncStatus {
    return { ...this.#link.status, ...this.#uploader.counters };
  }

  report(): void {
    this.#link.publish("reported", encodeLink(this.#self()));
  }

  readonly close = once(async () => {
    this.#end.abort();
    await this.#running;
    this.#stopped.resolve();
  });

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #self(): Reported {
    const { gateway, version, labels } = this.#options;
    const { revision } = this.#reconciler;
    const functions = [...this.#reconciler.reported()];
    return { gateway, version, startedAt: this.#startedAt, labels: { ...labels }, revision, functions, drops: this.#drops() };
  }

  #connected(): void {
    this.#connection = new AbortController();
    this.#greeting = new AbortController();
    this.#reconciler.linkUp();
    this.#uploader.connected();
    void this.#reportNews(AbortSignal.any([this.#end.signal, this.#connection.signal]));
    void this.#greet(AbortSignal.any([this.#end.signal, this.#connection.signal, this.#greeting.signal]));
  }

  /** Drops are counted one by one; only the sum of a while is worth a message, and a second one because the first may be lost. Nobody tells of problems. */
  async #reportNews(over: AbortSignal): Promise<void> {
    let again = false;
    for (let reported = this.#news(); !over.aborted;) {
      await this.#deps.clock.sleep(NEWS_REPORT_MS, over).catch(() => undefined);
      const now = this.#news();
      if (over.aborted || (now === reported && !again)) continue;
      again = now !== reported;
      reported = now;
      this.report();
    }
  }

  #news(): string {
    return JSON.stringify([total(this.#drops()), this.#reconciler.reported().map(({ name, problems }) => [name, problems])]);
  }

  #disconnected(): void {
    this.#connection.abort(new MillraceError("LINK_DOWN", "the link went down"));
    this.#uploader.disconnected();
  }

  async #greet(answered: AbortSignal): Promise<void> {
    while (!answered.aborted) {
      this.#link.publish("hello", encodeLink(this.#self()));
      await this.#deps.clock.sleep(HELLO_TIMEOUT_MS, answered).catch(() => undefined);
    }
  }

  #message(name: string, payload: Uint8Array): void {
    if (name === "events/ack") this.#handle(decodeLink(eventAckSchema, payload), (ack) => this.#uploader.acked(ack));
    else if (name === "artifact/chunk") this.#handle(decodeLink(artifactChunkSchema, payload), (chunk) => this.#fetcher.received(chunk));
    else if (name === "desired") {
      this.#handle(decodeLink(desiredSchema, payload), (desired) => {
        this.#greeting.abort();
        this.#reconciler.offer(desired);
      });
    }
  }

  #handle<T>(value: T | undefined, use: (value: T) => void): void {
    if (value === undefined) this.#deps.logger.warn("a message of the control plane cannot be read");
    else use(value);
  }
}

function total(drops: readonly Dropped[]): number {
  return drops.reduce((sum, { count }) => sum + count, 0);
}
