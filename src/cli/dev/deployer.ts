import { basename } from "node:path";
import { MillraceError, messageOf } from "../../core/errors.ts";
import type { ControlClient } from "../client/control-client.ts";
import { buildForPublish, type Built } from "../deploy/build-all.ts";
import { functionFolders } from "../deploy/discover.ts";
import type { DevModel } from "./model.ts";

interface Deployed {
  readonly name: string;
  readonly digest: string;
}

/** Keeps the control plane at what the function folders hold. What does not build stays as it was. */
export class Deployer {
  readonly #directory: string;
  readonly #control: ControlClient;
  readonly #model: DevModel;
  /** By folder. */
  readonly #deployed = new Map<string, Deployed>();
  readonly #signal: AbortSignal;
  #queue: Promise<void> = Promise.resolve();

  constructor(parts: { directory: string; control: ControlClient; model: DevModel }, signal: AbortSignal) {
    this.#directory = parts.directory;
    this.#control = parts.control;
    this.#model = parts.model;
    this.#signal = signal;
  }

  /** Builds everything there is and publishes what has changed; what this deployer published and is gone is removed. One run at a time. */
  sync(): Promise<void> {
    this.#queue = this.#queue
      .then(() => this.#syncNow())
      .catch((error: unknown) => {
        // A stop in the middle of a request is no failure.
        if (!this.#signal.aborted) throw error;
      });
    return this.#queue;
  }

  async #syncNow(): Promise<void> {
    const folders = await this.#folders();
    for (const folder of folders) {
      if (this.#signal.aborted) return;
      const built = await this.#build(folder);
      if (built !== undefined) await this.#guard(basename(folder), () => this.#publish(built));
    }
    for (const [folder, { name }] of this.#deployed) {
      const moved = [...this.#deployed].some(([other, each]) => other !== folder && each.name === name);
      if (!folders.includes(folder)) await this.#guard(name, () => this.#remove(folder, moved ? undefined : name));
    }
  }

  /** A folder that has just become empty is no reason to stop. */
  async #folders(): Promise<readonly string[]> {
    try {
      return await functionFolders(this.#directory);
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      this.#model.note("warn", error.message);
      return [];
    }
  }

  async #build(folder: string): Promise<Built | undefined> {
    const label = this.#deployed.get(folder)?.name ?? basename(folder);
    try {
      const built = await buildForPublish(folder);
      this.#model.setBroken(label, undefined);
      return built;
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      const [first = "", ...more] = error.message.split("\n");
      // Each save of a file that is still wrong would say the same again.
      if (this.#model.state.broken.get(label) === first) return undefined;
      this.#model.setBroken(label, first);
      const rest = more.length === 0 ? "" : ` (and ${more.length} more)`;
      this.#model.note(
        "error",
        `${label} does not build, ${this.#deployed.has(folder) ? "the old version goes on" : "fix it and save"}: ${first}${rest}`,
      );
      return undefined;
    }
  }

  async #publish({ folder, name, digest, bytes }: Built): Promise<void> {
    const before = this.#deployed.get(folder);
    if (before?.digest === digest) return;
    const answer = await this.#control.publish(name, bytes, digest);
    this.#deployed.set(folder, { name, digest });
    const what = answer.unchanged ? `deployed, as v${answer.version}` : `published as v${answer.version}`;
    this.#model.note("info", `${name} ${what}`);
    if (before !== undefined && before.name !== name) await this.#control.remove(before.name);
  }

  async #remove(folder: string, name: string | undefined): Promise<void> {
    if (name !== undefined) {
      await this.#control.remove(name);
      this.#model.note("info", `${name} removed, its folder is gone`);
    }
    this.#deployed.delete(folder);
  }

  /** The control plane may be away for a moment; the next change, or its return, tries again. */
  async #guard(label: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      this.#model.note("error", `${label}: ${messageOf(error)}`);
    }
  }
}
