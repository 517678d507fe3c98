import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { messageOf } from "../core/errors.ts";

/** Whether hosts get control groups: where it is surely safe, where it is possible, or never. */
export type GroupUse = "auto" | "on" | "off";

/** Where the gateway goes in its own control group: a group that has processes of its own gives its controllers to none below it. */
export const GATEWAY_LEAF = "gateway";

/** Who asks. */
export interface Asker {
  /** Where `/proc` is. */
  readonly proc: string;
  readonly pid: number;
  readonly uid: number;
}

export function thisProcess(): Asker {
  return { proc: "/proc", pid: process.pid, uid: process.getuid?.() ?? -1 };
}

/** A control group (version 2) in which the gateway may make others. */
export interface OwnGroup {
  readonly path: string;
  /** The gateway is in the leaf already, as with `DelegateSubgroup=` of systemd. */
  readonly isInLeaf: boolean;
  /** Processes that have to go into the leaf, the gateway among them. */
  readonly processes: readonly number[];
  readonly hasCpu: boolean;
}

/** The group, or why hosts get none. */
export type OwnGroupOrReason = OwnGroup | { readonly reason: string };

interface Mount {
  readonly point: string;
  /** What of the hierarchy is to be seen there. */
  readonly root: string;
  readonly isWritable: boolean;
}

/** Looks for the control group of the gateway and at whether it may be divided. Changes nothing. */
export function ownGroup(use: GroupUse, asker: Asker): OwnGroupOrReason {
  if (use === "off") return { reason: "runtime.host_cgroups is off" };
  const name = /^0::(\/.*)$/m.exec(read(join(asker.proc, "self/cgroup")) ?? "")?.[1];
  const mount = mountOf(read(join(asker.proc, "self/mountinfo")) ?? "");
  if (name === undefined || mount === undefined) return { reason: "this machine has no control groups of version 2" };
  const path = pathIn(mount, name);
  if (path === undefined) return { reason: `its control group, ${name}, is outside of what it can see` };
  if (!mount.isWritable) return { reason: `control groups are mounted read-only at ${mount.point}` };
  // As root everything can be written, also what a service manager keeps for itself. In a namespace of its own the top was given to the gateway.
  if (use === "auto" && asker.uid === 0 && name !== "/")
    return { reason: `root cannot see whether ${path} was delegated to it; runtime.host_cgroups: on says so` };
  const isInLeaf = basename(path) === GATEWAY_LEAF && processesOf(dirname(path))?.length === 0;
  return divisible(isInLeaf ? dirname(path) : path, { use, pid: asker.pid, isInLeaf });
}

function divisible(path: string, about: { use: GroupUse; pid: number; isInLeaf: boolean }): OwnGroupOrReason {
  if (!existsSync(join(path, "cgroup.events"))) return { reason: "it is in the root of the control groups, which is nobody's to divide" };
  const controllers = (read(join(path, "cgroup.controllers")) ?? "").trim().split(" ");
  if (!controllers.includes("memory")) return { reason: `${path} has no memory controller` };
  for (const file of ["", "cgroup.procs", "cgroup.subtree_control"]) {
    const problem = unwritable(join(path, file));
    if (problem !== undefined) return { reason: `${path} is not delegated to it: ${problem}` };
  }
  const processes = about.isInLeaf ? [] : (processesOf(path) ?? []);
  const others = processes.filter((pid) => pid !== about.pid);
  if (others.length > 0 && about.use === "auto")
    return { reason: `${path} has other processes in it, such as ${others[0]}; runtime.host_cgroups: on moves them` };
  return { path, isInLeaf: about.isInLeaf, processes, hasCpu: controllers.includes("cpu") };
}

/** See proc(5): numbers, root and mount point, options, optional fields up to a dash, type. */
function mountOf(mountinfo: string): Mount | undefined {
  for (const line of mountinfo.split("\n")) {
    const [head = "", tail = ""] = line.split(" - ");
    const [, , , root, point, options] = head.split(" ");
    if (!tail.startsWith("cgroup2 ") || root === undefined || point === undefined) continue;
    return { root: unescaped(root), point: unescaped(point), isWritable: options?.split(",").includes("rw") === true };
  }
  return undefined;
}

/** Where a group is found below the mount point. */
function pathIn({ root, point }: Mount, name: string): string | undefined {
  if (name.startsWith("/..")) return undefined;
  const prefix = root === "/" ? "" : root;
  if (!`${name}/`.startsWith(`${prefix}/`)) return undefined;
  return join(point, name.slice(prefix.length));
}

/** Blanks and the like are written as octal numbers there. */
function unescaped(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}

function processesOf(group: string): number[] | undefined {
  return read(join(group, "cgroup.procs"))?.split("\n").filter(Boolean).map(Number);
}

function unwritable(path: string): string | undefined {
  try {
    accessSync(path, constants.W_OK);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined; // Not Linux, or not there.
  }
}
