import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../core/errors.ts";
import { type Asker, GATEWAY_LEAF, type GroupUse, type OwnGroup, ownGroup, thisProcess } from "./own-group.ts";

/** Before the number of a host's group. */
const PREFIX = "host-";
/** Of 100, which the gateway has: below it as far as with their priorities, which count only within a group. */
const CPU_WEIGHT = { plain: 33, doubtful: 11 } as const;
/** A group is busy for a moment after its last process has ended. */
const REMOVAL_MS = [10, 100, 500, 2_000] as const;

/** Making a folder makes a group, with all its files; removing it needs only that no process is in it. */
interface Folders {
  make(path: string): void;
  remove(path: string): void;
}

const FOLDERS: Folders = { make: (path) => mkdirSync(path), remove: (path) => rmdirSync(path) };

/** How a limit on the memory of hosts is kept: by the kernel, at once, or by looking at them from time to time, and why not by the kernel. */
export type MemoryCap = { readonly by: "kernel"; readonly groups: HostGroups } | { readonly by: "watch"; readonly reason: string };

/** The control group of one host. */
export interface HostGroup {
  /** The process, and whatever it starts, is in the group from now on; when the kernel refuses that, it is only watched. */
  enter(pid: number): void;
  /** It holds nothing but what nobody trusts. */
  stepBack(): void;
  /** Whether the kernel has ended it for want of memory: because of its own limit, or of one that it shares with others. */
  readonly end: "limit" | "machine" | undefined;
  /** To be called when its process has ended. */
  remove(): void;
}

/** Takes hosts' limits to the kernel where that is possible and safe. What is in the way is no error: hosts are watched in any case. */
export function hostGroups(use: GroupUse, asker: Asker = thisProcess()): MemoryCap {
  const group = ownGroup(use, asker);
  if ("reason" in group) return { by: "watch", reason: group.reason };
  try {
    return { by: "kernel", groups: new HostGroups(group) };
  } catch (error) {
    return { by: "watch", reason: `${group.path} cannot be divided: ${messageOf(error)}` };
  }
}

/** A control group for each host, beside the one of the gateway, in the one that was delegated to it. */
export class HostGroups {
  readonly path: string;
  readonly #hasCpu: boolean;
  readonly #folders: Folders;
  #made = 0;

  /** Moves the gateway out of the way and removes what an earlier process left. @throws Error when the kernel refuses it; all is as before then */
  constructor({ path, isInLeaf, processes, hasCpu }: OwnGroup, folders: Folders = FOLDERS) {
    this.path = path;
    this.#folders = folders;
    const leaf = join(path, GATEWAY_LEAF);
    if (!existsSync(leaf)) folders.make(leaf);
    try {
      for (const pid of processes) write(leaf, "cgroup.procs", pid);
      write(path, "cgroup.subtree_control", "+memory");
    } catch (error) {
      for (const pid of processes) attempt(() => write(path, "cgroup.procs", pid));
      if (!isInLeaf) attempt(() => folders.remove(leaf));
      throw error;
    }
    this.#hasCpu = hasCpu && attempt(() => write(path, "cgroup.subtree_control", "+cpu"));
    for (const name of readdirSync(path)) if (name.startsWith(PREFIX)) this.#remove(join(path, name));
  }

  /** @throws Error when the kernel refuses it */
  create(memoryMax: number): HostGroup {
    // The process id keeps it apart from what an earlier process left and could not be removed yet.
    const path = join(this.path, `${PREFIX}${process.pid}-${++this.#made}`);
    this.#folders.make(path);
    try {
      write(path, "memory.max", memoryMax);
      // Without these it is the limit on memory alone that counts: a machine may have no swap.
      attempt(() => writePresent(path, "memory.swap.max", 0));
      attempt(() => writePresent(path, "memory.oom.group", 1));
      this.#weigh(path, CPU_WEIGHT.plain);
    } catch (error) {
      this.#remove(path);
      throw error;
    }
    return {
      enter: (pid) => void attempt(() => write(path, "cgroup.procs", pid)),
      stepBack: () => this.#weigh(path, CPU_WEIGHT.doubtful),
      get end() {
        return endOf(path);
      },
      remove: () => this.#remove(path),
    };
  }

  /** What is still in it is ended: nobody but a host was ever put there. */
  #remove(path: string, tries: readonly number[] = REMOVAL_MS): void {
    if (!existsSync(path) || attempt(() => this.#folders.remove(path))) return;
    attempt(() => writePresent(path, "cgroup.kill", 1));
    const [next, ...later] = tries;
    if (next !== undefined) setTimeout(() => this.#remove(path, later), next).unref();
  }

  #weigh(path: string, weight: number): void {
    if (this.#hasCpu) attempt(() => writePresent(path, "cpu.weight", weight));
  }
}

/** See "memory.events" in the kernel's description of control groups, version 2: `oom_kill` also counts ends for the sake of a group above. */
function endOf(path: string): HostGroup["end"] {
  let events = "";
  attempt(() => (events = readFileSync(join(path, "memory.events"), "utf8")));
  const count = (name: string): number => Number(new RegExp(`^${name} (\\d+)$`, "m").exec(events)?.[1] ?? 0);
  if (count("oom_kill") === 0) return undefined;
  return count("oom") > 0 ? "limit" : "machine";
}

function write(group: string, file: string, value: string | number): void {
  writeFileSync(join(group, file), String(value));
}

function writePresent(group: string, file: string, value: string | number): void {
  if (existsSync(join(group, file))) write(group, file, value);
}

/** Whether the kernel took it. @throws what is no answer of the system */
function attempt(work: () => unknown): boolean {
  try {
    work();
    return true;
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error;
    return false;
  }
}
