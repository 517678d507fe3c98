import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { FUNCTION_NAMES } from "./functions.ts";
import type { World } from "./world.ts";

/** What can go wrong, and how often compared with the others. */
const WEIGHTS = {
  "gateway killed": 5,
  "host killed": 5,
  "control plane killed": 2,
  "link cut": 2,
  "link slow": 1,
  "device link cut": 3,
  "acknowledgements lost": 3,
  "subscriber cut off": 2,
  "subscriber away": 2,
  "disk full": 1,
  "clock stepped": 2,
  "version switched": 3,
} as const;
export type FaultName = keyof typeof WEIGHTS;
const FAULT_NAMES = Object.keys(WEIGHTS) as FaultName[];

const DEVICES = ["device link cut", "acknowledgements lost"] as const;
const SUBSCRIBERS = ["subscriber cut off", "subscriber away"] as const;
const PAUSE_MS = { min: 150, max: 1_500 };
/** Now and then there is nothing to be struck at the moment; not this often. */
const DRAWN_MIN = 5;
const CLOCK_STEP_MS_MAX = 2 * 3_600_000;

/** Makes one fault after another happen, when and which the seed says. Those that last a while overlap with what comes next. */
export class Faults {
  readonly counts = new Map<FaultName, number>();
  readonly #world: World;
  readonly #random: () => number;
  readonly #drawn = new Map<FaultName, number>();
  readonly #lasting = new Map<FaultName, Promise<void>>();

  constructor(world: World, random: () => number) {
    this.#world = world;
    this.#random = random;
  }

  /** Runs until aborted; then everything that lasted is over. */
  async run(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      await sleep(this.#between(PAUSE_MS), undefined, { signal: stop }).catch(() => undefined); // Told to stop.
      if (!stop.aborted) await this.#strike(this.#pick(), stop);
    }
    await Promise.all(this.#lasting.values());
  }

  /** Faults that were to come and never did: the run has not shown what it says. */
  missing(): readonly FaultName[] {
    const possible = FAULT_NAMES.filter((name) => name !== "disk full" || this.#world.parts.disk.problem === undefined);
    return possible.filter((name) => (this.#drawn.get(name) ?? 0) >= DRAWN_MIN && !this.counts.has(name));
  }

  #pick(): FaultName {
    const total = FAULT_NAMES.reduce((sum, name) => sum + WEIGHTS[name], 0);
    let at = this.#random() * total;
    return FAULT_NAMES.find((name) => (at -= WEIGHTS[name]) < 0) ?? "gateway killed";
  }

  async #strike(name: FaultName, stop: AbortSignal): Promise<void> {
    const { gateway, control, link, devices, subscribers, disk } = this.#world.parts;
    this.#drawn.set(name, (this.#drawn.get(name) ?? 0) + 1);
    // Drawn whatever comes of it, so that a seed always tells the same story.
    const chance = this.#random();
    const lasting = this.#between({ min: 500, max: 4_000 });
    const strikes: Record<FaultName, () => boolean | Promise<boolean>> = {
      "gateway killed": () => gateway.kill(),
      "control plane killed": () => control.kill(),
      "host killed": () => this.#killHost(chance),
      "clock stepped": () => this.#stepClock(chance),
      "version switched": () => this.#switch(chance),
      "link cut": () => this.#lasts(["link cut", "link slow"], { begin: () => link.cut(), end: () => link.heal(), ms: lasting * 2 }, stop),
      "link slow": () =>
        this.#lasts(["link slow", "link cut"], { begin: () => link.slow(), end: () => link.heal(), ms: lasting * 2 }, stop),
      // Devices that notice at once when it is over, because their patience is not what is tested.
      "device link cut": () => this.#lasts(DEVICES, { begin: () => devices.cut(), end: () => devices.reset(), ms: lasting / 4 }, stop),
      "acknowledgements lost": () =>
        this.#lasts(DEVICES, { begin: () => devices.mute(), end: () => devices.reset(), ms: lasting / 8 }, stop),
      "subscriber cut off": () =>
        this.#lasts(SUBSCRIBERS, { begin: () => subscribers.cut(), end: () => subscribers.reset(), ms: lasting }, stop),
      "subscriber away": () =>
        this.#lasts(SUBSCRIBERS, { begin: () => subscribers.away(), end: () => subscribers.heal(), ms: lasting }, stop),
      "disk full": () =>
        disk.problem === undefined && this.#lasts(["disk full"], { begin: () => disk.fill(), end: () => disk.free(), ms: lasting }, stop),
    };
    if (await strikes[name]()) this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
  }

  async #killHost(chance: number): Promise<boolean> {
    const pids = await this.#world.parts.gateway.children();
    const pid = pids[Math.floor(chance * pids.length)];
    if (pid === undefined) return false;
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => ""); // It may have ended just now.
    // Between its fork and its program it looks like the gateway.
    if (!command.includes("--permission")) return false;
    try {
      return process.kill(pid, "SIGKILL");
    } catch {
      // It may have ended just now.
      return false;
    }
  }

  #switch(chance: number): Promise<boolean> {
    const name = FUNCTION_NAMES[Math.floor(chance * FUNCTION_NAMES.length)];
    return name === undefined ? Promise.resolve(false) : this.#world.publish(name);
  }

  async #stepClock(chance: number): Promise<boolean> {
    const { clockOffsetMs } = this.#world;
    // Towards the true time when far from it, so that the clock does not wander off.
    const target = Math.abs(clockOffsetMs) > CLOCK_STEP_MS_MAX ? 0 : (chance * 2 - 1) * CLOCK_STEP_MS_MAX;
    await this.#world.stepClock(Math.round(target - clockOffsetMs / 2));
    return true;
  }

  /** False when this or another of these faults is there already. */
  async #lasts(
    names: readonly [FaultName, ...FaultName[]],
    { begin, end, ms }: { begin: () => void | Promise<void>; end: () => void | Promise<void>; ms: number },
    stop: AbortSignal,
  ): Promise<boolean> {
    if (names.some((name) => this.#lasting.has(name))) return false;
    await begin();
    const over = sleep(ms, undefined, { signal: stop })
      .catch(() => undefined) // Told to stop: it ends now.
      .then(end)
      .finally(() => this.#lasting.delete(names[0]));
    this.#lasting.set(names[0], over);
    return true;
  }

  #between({ min, max }: { min: number; max: number }): number {
    return Math.round(min + this.#random() * (max - min));
  }
}
