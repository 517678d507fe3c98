import { backoffMs } from "../core/clock.ts";
import { MillraceError, messageOf } from "../core/errors.ts";
import { once } from "../core/lifecycle.ts";
import type { Logger } from "../core/log.ts";
import type { Gate } from "./fair-queue.ts";
import { GuardedHost, type InstanceEvents, type InstanceHandle } from "./guarded-host.ts";
import type { LoadSpec } from "./host/frames.ts";
import type { HostGroup, HostGroups } from "./host-groups.ts";
import { OwnHosts } from "./own-hosts.ts";

const RESTART_BACKOFF = { minMs: 10, maxMs: 5_000 };
/** Hosts that may end one after another before the first one answers; it may be the memory of the machine that was short for a moment. */
const FIRST_TRIES = 6;
/** A spare is started when what took the last one has had its start. */
const SPARE_DELAY_MS = 100;
/** A host that holds nothing any more is kept that long for what comes next. */
const EMPTY_MS = 10_000;

/**
 * Where an instance is made: with others of versions that have proved themselves (`shared`), with others of which nothing is known yet
 * (`probation`), with others that were at work when a host died (`suspects`), in a host with nothing but instances of the same owner (`own`), for good or
 * only for a while, or in one of an inspection, where a debugger can look into them (`inspected`).
 */
export type Place =
  | { readonly kind: "shared" | "probation" | "suspects" }
  | { readonly kind: "own"; readonly owner: unknown; readonly lasting: boolean }
  | { readonly kind: "inspected"; readonly inspection: object };

export interface HostPoolOptions {
  /** Shared hosts, at most. */
  readonly shared: number;
  /** Own hosts, at most; the last of them is kept for those that need one for a while. */
  readonly ownMax?: number;
  /** Bytes of memory that one of them may take. */
  readonly memoryMax?: number;
  /** Makes the control groups in which the kernel holds them to that; without it they are only watched. */
  readonly groups?: Pick<HostGroups, "create"> | undefined;
  /** Closed while functions have made more than can be written; `serve` follows. */
  readonly gate?: Gate;
  /** Whether a host is kept ready that takes the place of one that dies. */
  readonly spare?: boolean;
}

const DEFAULTS = { groups: undefined, ownMax: 4, memoryMax: 1024 ** 3, spare: true, gate: { isOpen: true } };

/**
 * The host processes of a gateway. They are started when they are needed, the first one at once, to see whether they can be started here. A host
 * that dies or does not answer in time is replaced by the spare; its instances are told that they are lost.
 */
export class HostPool {
  readonly #options: Required<HostPoolOptions>;
  readonly #logger: Logger;
  readonly #shared: GuardedHost[] = [];
  readonly #own: OwnHosts;
  readonly #inspected = new Map<object, GuardedHost>();
  /** All that are running or being started. */
  readonly #hosts = new Set<GuardedHost>();
  readonly #emptied = new Map<GuardedHost, NodeJS.Timeout>();
  readonly close: () => Promise<void>;
  /** The hosts of which there is one of a kind. */
  readonly #single: { probation?: GuardedHost; suspects?: GuardedHost } = {};
  #spare: GuardedHost | undefined;
  #spareTimer: NodeJS.Timeout | undefined;
  /** Hosts in a row that died before they were ready. */
  #stillborn = 0;
  #nextId = 1;
  #closing = false;
  restarts = 0;
  /** Isolates that had nothing to do and made room for others in their host. */
  evicted = 0;

  constructor(options: HostPoolOptions, logger: Logger) {
    this.#options = { ...DEFAULTS, ...options };
    this.#logger = logger;
    this.#own = new OwnHosts(this.#options.ownMax, { take: () => this.#take("own"), release: (host) => this.#release(host) });
    this.#spare = this.#start();
    this.close = once(async () => {
      this.#closing = true;
      clearTimeout(this.#spareTimer);
      for (const timer of this.#emptied.values()) clearTimeout(timer);
      this.#own.close();
      await Promise.all([...this.#hosts].map((host) => host.close()));
    });
  }

  /** Processes that run, the spare one included. */
  get size(): number {
    return this.#hosts.size;
  }

  /** Resolves when the first host answers; one that ends before is replaced, a few times. @throws MillraceError HOST_CRASHED, NOT_INSTALLED */
  async ready(): Promise<void> {
    // Between two tries nothing else may keep the process of the gateway alive.
    const waiting = setInterval(() => undefined, RESTART_BACKOFF.maxMs);
    try {
      for (let tries = 1; !(await this.#areReady(tries >= FIRST_TRIES)); tries++) this.#spare ??= this.#start();
    } finally {
      clearInterval(waiting);
    }
  }

  /** @throws what a host that is not ready says, when it is the last try or another would not help */
  async #areReady(isLast: boolean): Promise<boolean> {
    try {
      await Promise.all([...this.#hosts].map((host) => host.ready));
      return true;
    } catch (error) {
      const mayWork = error instanceof MillraceError && error.code === "HOST_CRASHED";
      if (!mayWork || isLast || this.#closing) throw error;
      return false;
    }
  }

  /** Waits for an own host when all of them are taken for a while. @throws MillraceError FUNCTION_LOAD_FAILED, HOST_CRASHED, HOSTS_TAKEN */
  async load(spec: LoadSpec, events: InstanceEvents, place: Place = { kind: "probation" }): Promise<InstanceHandle> {
    for (;;) {
      const host = await this.#hostFor(place);
      if (this.#closing) throw new MillraceError("HOST_CRASHED", "the hosts are being stopped");
      clearTimeout(this.#emptied.get(host));
      this.#emptied.delete(host);
      const handle = await host.load(this.#nextId++, spec, events);
      if (handle !== undefined) return handle;
    }
  }

  #hostFor(place: Place): GuardedHost | Promise<GuardedHost> {
    if (place.kind === "own") return this.#own.of(place);
    return place.kind === "inspected" ? this.#inspectedHost(place.inspection) : this.#common(place.kind);
  }

  /** Not the spare one: that has no inspector. */
  #inspectedHost(inspection: object): GuardedHost {
    if (this.#closing) throw new MillraceError("HOST_CRASHED", "the hosts are being stopped");
    const host = this.#inspected.get(inspection) ?? this.#start({ inspector: true });
    this.#inspected.set(inspection, host);
    return host;
  }

  /** Ends the host of an inspection; what is still under way in it is handed out again and nobody is charged with it. */
  retire(inspection: object, reason: string): void {
    const host = this.#inspected.get(inspection);
    if (host?.size === 0) this.#release(host);
    else host?.retire(reason);
  }

  /** The gate has opened. */
  serve(): void {
    for (const host of this.#hosts) host.serve();
  }

  /** Whether the owner has a host of its own, or can have one for good. */
  hasRoom(owner: unknown): boolean {
    return this.#own.hasRoom(owner);
  }

  #common(kind: "shared" | "probation" | "suspects"): GuardedHost {
    if (kind !== "shared") return (this.#single[kind] ??= this.#take(kind));
    const [first, ...others] = this.#shared;
    const least = others.reduce<GuardedHost | undefined>((a, b) => (a !== undefined && !isRoomier(b, a) ? a : b), first);
    if (least !== undefined && (least.size === 0 || this.#shared.length >= this.#options.shared)) return least;
    const host = this.#take("shared");
    this.#shared.push(host);
    return host;
  }

  #take(kind: Exclude<Place["kind"], "inspected">): GuardedHost {
    if (this.#closing) throw new MillraceError("HOST_CRASHED", "the hosts are being stopped");
    clearTimeout(this.#spareTimer);
    const host = this.#spare ?? this.#start();
    this.#spare = undefined;
    if (kind !== "shared") host.isolate(kind);
    if (this.#options.spare) this.#spareTimer = setTimeout(() => (this.#spare ??= this.#start()), SPARE_DELAY_MS).unref();
    return host;
  }

  #start({ inspector }: { readonly inspector: boolean } = { inspector: false }): GuardedHost {
    const host = new GuardedHost({
      inspector,
      delayMs: this.#stillborn === 0 ? 0 : backoffMs(this.#stillborn, RESTART_BACKOFF),
      memoryMax: this.#options.memoryMax,
      group: this.#group(),
      gate: this.#options.gate,
      evicted: () => void this.evicted++,
      died: (dead, reason) => this.#died(dead, reason),
      empty: (idle) => this.#empty(idle),
    });
    this.#hosts.add(host);
    host.ready.then(
      () => (this.#stillborn = 0),
      (error: unknown) => {
        this.#stillborn++;
        if (this.#hosts.has(host)) this.#died(host, messageOf(error));
      },
    );
    return host;
  }

  /** A host that cannot have one is watched like the others. */
  #group(): HostGroup | undefined {
    const { groups, memoryMax } = this.#options;
    try {
      return groups?.create(memoryMax);
    } catch (error) {
      this.#logger.warn({ error: messageOf(error) }, "a host process gets no control group");
      return undefined;
    }
  }

  #died(host: GuardedHost, reason: string): void {
    if (this.#closing) return;
    this.restarts++;
    this.#logger.error({ reason, instances: host.size }, "a host process died and is replaced");
    this.#forget(host);
    if (this.#spare === undefined && this.#options.spare) {
      clearTimeout(this.#spareTimer);
      this.#spareTimer = setTimeout(() => (this.#spare ??= this.#start()), SPARE_DELAY_MS).unref();
    }
  }

  #forget(host: GuardedHost): void {
    this.#hosts.delete(host);
    clearTimeout(this.#emptied.get(host));
    this.#emptied.delete(host);
    if (this.#spare === host) this.#spare = undefined;
    for (const kind of ["probation", "suspects"] as const) if (this.#single[kind] === host) delete this.#single[kind];
    if (this.#shared.includes(host)) this.#shared.splice(this.#shared.indexOf(host), 1);
    this.#own.forget(host);
    for (const [inspection, its] of this.#inspected) if (its === host) this.#inspected.delete(inspection);
  }

  #empty(host: GuardedHost): void {
    if (this.#closing || !this.#hosts.has(host)) return;
    clearTimeout(this.#emptied.get(host));
    this.#emptied.set(host, setTimeout(() => this.#release(host), EMPTY_MS).unref());
    this.#own.emptied(host);
  }

  /** Ends a host that holds nothing. It has run code of users, so it does not become the spare. */
  #release(host: GuardedHost): void {
    this.#forget(host);
    host.close().catch((error: unknown) => this.#logger.error({ err: error }, "a host process cannot be stopped"));
  }
}

/** Instances count and not memory: what earlier ones have left behind is used again. */
function isRoomier(one: GuardedHost, other: GuardedHost): boolean {
  return one.isFull === other.isFull ? one.size < other.size : other.isFull;
}
