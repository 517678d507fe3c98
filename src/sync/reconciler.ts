import type { Bundle } from "../core/bundle.ts";
import { backoffMs, type Clock } from "../core/clock.ts";
import { MillraceError, messageOf } from "../core/errors.ts";
import { aborted } from "../core/lifecycle.ts";
import type { Desired, Reported } from "../core/link-messages.ts";
import type { Logger } from "../core/log.ts";
import { type Applied, NOTHING_APPLIED, readApplied, writeApplied } from "./applied-file.ts";
import type { Artifacts } from "./artifacts.ts";
import { Failures, type Target } from "./failures.ts";

export type ReportedFunction = Reported["functions"][number];

/** What runs functions on this gateway. */
export interface Deployer {
  /** Resolves once the version is active, at once if it is already; rejects with a MillraceError and leaves the version before in place. */
  deploy(target: Target, bundle: Bundle): Promise<void>;
  remove(name: string): Promise<void>;
  /** The version was refused before it came to `deploy`, such as one with a wrong digest. */
  refuse(target: Target, error: string): void;
  reported(): readonly ReportedFunction[];
  /** The versions that handled messages last, with which they go on; known also when a full disk kept the list of what was applied from being written. */
  known(): readonly Target[];
}

export interface Restored {
  readonly active: readonly string[];
  readonly failed: readonly { readonly name: string; readonly error: string }[];
}

export interface ReconcilerParts {
  readonly artifacts: Artifacts;
  readonly deployer: Deployer;
  readonly appliedPath: string;
  readonly fetch: (digest: string, signal: AbortSignal) => AsyncIterable<Uint8Array>;
  /** What runs here has changed. */
  readonly changed: () => void;
}

const RETRY = { minMs: 2_000, maxMs: 300_000 };

/** Makes what runs here what the control plane wants, one function after another, and keeps what works when something does not. */
export class Reconciler {
  readonly #parts: ReconcilerParts;
  readonly #deps: { readonly logger: Logger; readonly clock: Clock };
  readonly #failures: Failures;
  #applied: Applied = NOTHING_APPLIED;
  /** The newest state that was accepted, and whether it still has to be acted on. */
  #desired: Desired | undefined;
  #pending = false;
  #wake = new AbortController();

  constructor(parts: ReconcilerParts, deps: { logger: Logger; clock: Clock; random: () => number }) {
    this.#parts = parts;
    this.#deps = deps;
    this.#failures = new Failures((attempt) => deps.clock.elapsed() + backoffMs(attempt, RETRY, deps.random));
  }

  /** The revision that was last acted on. */
  get revision(): number {
    return this.#applied.revision;
  }

  /** What runs, and for each function that cannot be had the version that was wanted, as failed. */
  reported(): readonly ReportedFunction[] {
    return this.#failures.merge(this.#parts.deployer.reported());
  }

  /** Starts what ran before, from this disk alone. What is missing or damaged is fetched when the link is there. */
  async restore(): Promise<Restored> {
    const { appliedPath } = this.#parts;
    const read = await readApplied(appliedPath);
    if (read === "corrupt")
      this.#deps.logger.error({ path: appliedPath }, "the list of functions to restore is damaged; the control plane sends it again");
    const applied = read === "corrupt" || read === undefined ? NOTHING_APPLIED : read;
    const known = this.#parts.deployer.known();
    const others = applied.functions.filter(({ name }) => !known.some((target) => target.name === name));
    this.#applied = { ...applied, functions: [...known, ...others] };
    const active: string[] = [];
    for (const target of this.#applied.functions) {
      if (await this.#attempt(target, () => this.#restoreOne(target))) active.push(target.name);
    }
    // What could not be restored is fetched as soon as the control plane asks for it, and not before.
    this.#failures.suspend();
    return { active, failed: this.#failures.list() };
  }

  /** A desired state arrived. An older one than is known is ignored; while one is being acted on, only the newest waits. */
  offer(desired: Desired): void {
    if (desired.revision < Math.max(this.#applied.revision, this.#desired?.revision ?? 0)) {
      this.#deps.logger.info({ revision: desired.revision }, "an older desired state is ignored");
      return;
    }
    this.#desired = desired;
    this.#pending = true;
    this.#wake.abort();
  }

  /** What failed for want of a link need not wait for its turn any longer. */
  linkUp(): void {
    this.#failures.forgive("LINK_DOWN");
  }

  /** Acts on desired states, and again on what failed when its time has come, until aborted. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (this.#pending && this.#desired !== undefined) {
        this.#pending = false;
        await this.#apply(this.#desired, signal);
      } else {
        await this.#waitForWork(signal);
      }
    }
  }

  async #waitForWork(signal: AbortSignal): Promise<void> {
    this.#wake = new AbortController();
    const woken = AbortSignal.any([signal, this.#wake.signal]);
    const retryAt = this.#failures.nextAt();
    if (retryAt === undefined) return aborted(woken);
    await this.#deps.clock.sleep(Math.max(0, retryAt - this.#deps.clock.elapsed()), woken).catch(() => undefined);
    if (!woken.aborted) this.#pending = true;
  }

  async #apply(desired: Desired, signal: AbortSignal): Promise<void> {
    const { logger } = this.#deps;
    const wanted = new Set(desired.functions.map((target) => target.name));
    this.#failures.keepOnly(desired.functions);
    for (const target of desired.functions) {
      if (signal.aborted || this.#pending) return;
      if (this.#isActive(target) || this.#failures.isWaiting(target, this.#deps.clock.elapsed())) continue;
      if (!(await this.#attempt(target, () => this.#deployOne(target, signal)))) continue;
      logger.info({ function: target.name, version: target.version }, "function deployed");
      const others = this.#applied.functions.filter((applied) => applied.name !== target.name);
      await this.#write({
        ...this.#applied,
        functions: [...others, { name: target.name, version: target.version, digest: target.digest }],
      });
      this.#parts.changed();
    }
    for (const name of this.#superfluous(wanted)) await this.#remove(name);
    await this.#write({ ...this.#applied, revision: desired.revision });
    await this.#prune(desired);
    this.#parts.changed();
  }

  /** Whether `work` succeeded. A failure is kept for the report and for the next try. */
  async #attempt(target: Target, work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      this.#failures.clear(target.name);
      return true;
    } catch (error) {
      this.#deps.logger.error({ function: target.name, version: target.version, err: error }, `function not deployed: ${messageOf(error)}`);
      this.#failures.record(target, error);
      return false;
    }
  }

  async #restoreOne(target: Target): Promise<void> {
    const bundle = await this.#refusing(target, () => this.#local(target.digest));
    await this.#parts.deployer.deploy(target, bundle);
  }

  async #deployOne({ name, version, digest }: Target, signal: AbortSignal): Promise<void> {
    const { artifacts, deployer, fetch } = this.#parts;
    const target = { name, version, digest };
    const bundle = await this.#refusing(target, async () => {
      const local = await this.#local(digest);
      if (local !== undefined) return local;
      await artifacts.write(digest, fetch(digest, signal));
      return artifacts.read(digest);
    });
    await deployer.deploy(target, bundle);
  }

  /** The bundle that `get` finds, which must be there and hold the function; the deployer hears when it does not. */
  async #refusing(target: Target, get: () => Promise<Bundle | undefined>): Promise<Bundle> {
    try {
      const bundle = await get();
      if (bundle === undefined) throw new MillraceError("NOT_FOUND", `the bundle ${target.digest} is not on this gateway`);
      if (bundle.manifest.name === target.name) return bundle;
      throw new MillraceError("BUNDLE_CORRUPT", `the bundle ${target.digest} holds the function "${bundle.manifest.name}"`);
    } catch (error) {
      this.#parts.deployer.refuse(target, messageOf(error));
      throw error;
    }
  }

  /** A damaged file is as good as none. */
  async #local(digest: string): Promise<Bundle | undefined> {
    const { artifacts } = this.#parts;
    try {
      return await artifacts.read(digest);
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      this.#deps.logger.error({ digest, err: error }, "a bundle on this gateway is damaged and is dropped");
      await artifacts.drop(digest);
      return undefined;
    }
  }

  #isActive({ name, version, digest }: Target): boolean {
    const known = this.#applied.functions.some(
      (applied) => applied.name === name && applied.digest === digest && applied.version === version,
    );
    const reports = this.#parts.deployer.reported();
    const report = reports.find((it) => it.name === name && it.digest === digest);
    return known && (report?.state === "quarantined" || (report?.state === "active" && report.error === undefined));
  }

  #superfluous(wanted: ReadonlySet<string>): string[] {
    const here = [...this.#applied.functions, ...this.#parts.deployer.reported()].map(({ name }) => name);
    return [...new Set(here)].filter((name) => !wanted.has(name));
  }

  async #remove(name: string): Promise<void> {
    try {
      await this.#parts.deployer.remove(name);
      this.#applied = { ...this.#applied, functions: this.#applied.functions.filter((applied) => applied.name !== name) };
      this.#deps.logger.info({ function: name }, "function removed");
    } catch (error) {
      this.#deps.logger.error({ function: name, err: error }, "function not removed; it is tried again with the next desired state");
    }
  }

  /** When it cannot be written, what runs is right all the same; only a restart without a network would run what ran before. */
  async #write(applied: Applied): Promise<void> {
    this.#applied = applied;
    try {
      await writeApplied(this.#parts.appliedPath, applied);
    } catch (error) {
      this.#deps.logger.error({ err: error }, "the list of functions to restore cannot be written");
    }
  }

  async #prune(desired: Desired): Promise<void> {
    try {
      const needed = [...this.#applied.functions, ...this.#parts.deployer.known(), ...desired.functions];
      await this.#parts.artifacts.keepOnly(new Set(needed.map(({ digest }) => digest)));
    } catch (error) {
      this.#deps.logger.warn({ err: error }, "bundles that are no longer needed cannot be removed");
    }
  }
}
