import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { checkMemoryCap } from "../../../src/cli/doctor/machine.ts";
import { HostGroups, hostGroups } from "../../../src/runtime/host-groups.ts";
import { type Asker, type GroupUse, type OwnGroupOrReason, ownGroup } from "../../../src/runtime/own-group.ts";
import { eventually } from "../../support/eventually.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const PID = 4_242;
const UID = 1_000;

/** A folder laid out as the kernel lays out control groups, and the part of /proc that says where a process is among them. */
class Machine {
  readonly proc: string;
  readonly mount: string;

  constructor(folder: string) {
    this.proc = join(folder, "proc");
    this.mount = join(folder, "sys fs", "cgroup");
    mkdirSync(join(this.proc, "self"), { recursive: true });
    mkdirSync(this.mount, { recursive: true });
    for (const file of ["cgroup.procs", "cgroup.subtree_control"]) writeFileSync(join(this.mount, file), "");
    writeFileSync(join(this.mount, "cgroup.controllers"), "cpu memory pids\n");
    this.mounted({});
  }

  mounted({ root = "/", options = "rw,nosuid", type = "cgroup2" }: { root?: string; options?: string; type?: string }): void {
    const other = "24 1 0:21 / /proc rw - proc proc rw\n";
    const point = this.mount.replaceAll(" ", "\\040");
    writeFileSync(join(this.proc, "self/mountinfo"), `${other}30 24 0:26 ${root} ${point} ${options} shared:4 - ${type} cgroup2 rw\n`);
  }

  /** Makes a group as the kernel does, with these processes in it. */
  group(name: string, processes: readonly number[] = [], controllers = "cpuset cpu io memory pids"): string {
    const path = join(this.mount, name);
    this.make(path);
    writeFileSync(join(path, "cgroup.procs"), processes.map((pid) => `${pid}\n`).join(""));
    writeFileSync(join(path, "cgroup.controllers"), `${controllers}\n`);
    return path;
  }

  readonly make = (path: string): void => {
    mkdirSync(path, { recursive: true });
    const files = { "cgroup.events": "populated 0\n", "memory.events": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n" };
    for (const [file, content] of Object.entries(files)) writeFileSync(join(path, file), content);
    const empty = [
      "cgroup.procs",
      "cgroup.subtree_control",
      "cgroup.kill",
      "memory.max",
      "memory.swap.max",
      "memory.oom.group",
      "cpu.weight",
    ];
    for (const file of empty) writeFileSync(join(path, file), "");
  };

  /** The group in which the process is. */
  in(name: string): void {
    writeFileSync(join(this.proc, "self/cgroup"), `12:hugetlb:/x\n0::${name}\n`);
  }

  asker(uid = UID): Asker {
    return { proc: this.proc, pid: PID, uid };
  }

  own(use: GroupUse = "auto", uid = UID): OwnGroupOrReason {
    return ownGroup(use, this.asker(uid));
  }
}

let folder: TempFolder;
let machine: Machine;

beforeEach(async () => {
  folder = await TempFolder.make();
  machine = new Machine(folder.path);
});

afterEach(async () => {
  await folder[Symbol.asyncDispose]();
});

describe("the control group of a gateway", () => {
  it("can be divided when it is alone in one that is its own", () => {
    const path = machine.group("system.slice/millrace.service", [PID]);
    machine.in("/system.slice/millrace.service");
    expect(machine.own()).toEqual({ path, isInLeaf: false, processes: [PID], hasCpu: true });
  });

  it("is found where only a part of the hierarchy is to be seen", () => {
    machine.mounted({ root: "/system.slice" });
    const path = machine.group("millrace.service", [PID], "memory");
    machine.in("/system.slice/millrace.service");
    expect(machine.own()).toEqual({ path, isInLeaf: false, processes: [PID], hasCpu: false });
  });

  it("is the one above when the service manager has put it into the leaf", () => {
    const path = machine.group("millrace.service");
    machine.group("millrace.service/gateway", [PID]);
    machine.in("/millrace.service/gateway");
    expect(machine.own()).toEqual({ path, isInLeaf: true, processes: [], hasCpu: true });
  });

  it.each<[string, () => OwnGroupOrReason, RegExp]>([
    ["it is switched off", () => machine.own("off"), /host_cgroups is off/],
    ["there is no /proc", () => ownGroup("on", { ...machine.asker(), proc: "/nowhere" }), /no control groups of version 2/],
    ["only version 1 is mounted", () => (machine.mounted({ type: "cgroup" }), machine.own()), /no control groups of version 2/],
    ["they are mounted read-only", () => (machine.mounted({ options: "ro,nosuid" }), machine.own()), /read-only/],
    ["it is outside of its namespace", () => (machine.in("/../other.service"), machine.own()), /outside of what it can see/],
    ["it is outside of the mount", () => (machine.mounted({ root: "/user.slice" }), machine.own()), /outside of what it can see/],
    ["it is in the root", () => (machine.in("/"), machine.own()), /control groups, which is nobody.s to divide/],
    ["memory belongs to version 1", () => (machine.group("m.service", [PID], "cpu hugetlb"), machine.own()), /no memory controller/],
    ["it is root and may write what is not its own", () => machine.own("auto", 0), /cannot see whether/],
    ["others are in it", () => (machine.group("m.service", [PID, 77]), machine.own()), /other processes in it, such as 77/],
    ["files are missing", () => (rmSync(join(machine.mount, "m.service/cgroup.procs")), machine.own()), /not delegated/],
  ])("cannot be divided when %s", (_, look, reason) => {
    machine.group("m.service", [PID]);
    machine.in("/m.service");
    expect(look()).toEqual({ reason: expect.stringMatching(reason) });
  });

  it("can be divided as root, and with others in it, when the operator says so", () => {
    const path = machine.group("m.service", [PID, 77]);
    machine.in("/m.service");
    expect(machine.own("on", 0)).toMatchObject({ path, processes: [PID, 77] });
  });

  it("can be divided as root at the top of a namespace of its own", () => {
    machine.make(machine.mount);
    machine.group("", [PID]);
    machine.in("/");
    expect(machine.own("auto", 0)).toMatchObject({ processes: [PID] });
  });

  it("is told of by the doctor", () => {
    machine.group("m.service", [PID]);
    machine.in("/m.service");
    expect(checkMemoryCap("auto", machine.asker())).toMatchObject({ status: "ok", message: expect.stringContaining("the kernel limits") });
    expect(checkMemoryCap("off", machine.asker())).toMatchObject({ status: "ok", message: expect.stringContaining("watches") });
    machine.mounted({ options: "ro" });
    expect(checkMemoryCap("on", machine.asker())).toMatchObject({ status: "warn", message: expect.stringContaining("read-only") });
  });
});

/** Of the group of the gateway in the second part. */
function text(...path: string[]): string {
  return readFileSync(join(machine.mount, "m.service", ...path), "utf8");
}

function hosts(): string[] {
  return readdirSync(join(machine.mount, "m.service")).filter((name) => name.startsWith("host-"));
}

function events(oom: number, kills: number): void {
  const path = join(machine.mount, "m.service", hosts()[0] ?? "", "memory.events");
  writeFileSync(path, `max 9\noom ${oom}\noom_kill ${kills}\noom_group_kill 0\n`);
}

describe("the groups of hosts", () => {
  const folders = { make: (path: string) => machine.make(path), remove: (path: string) => rmSync(path, { recursive: true }) };

  function groups(more: { hasCpu?: boolean; remove?: (path: string) => void } = {}): HostGroups {
    const path = join(machine.mount, "m.service");
    const group = { path, isInLeaf: false, processes: [PID], hasCpu: more.hasCpu ?? true };
    return new HostGroups(group, { ...folders, ...(more.remove === undefined ? {} : { remove: more.remove }) });
  }

  beforeEach(() => {
    machine.group("m.service", [PID]);
    machine.in("/m.service");
  });

  it("are made beside the gateway, which moves out of their way first", () => {
    const host = groups().create(256 * 2 ** 20);
    expect(text("gateway", "cgroup.procs")).toBe(String(PID));
    expect(text("cgroup.subtree_control")).toBe("+cpu");
    const [name = ""] = hosts();
    host.enter(99);
    const files = ["cgroup.procs", "memory.max", "memory.swap.max", "memory.oom.group", "cpu.weight"];
    expect(files.map((file) => text(name, file))).toEqual(["99", String(256 * 2 ** 20), "0", "1", "33"]);
    host.stepBack();
    expect(text(name, "cpu.weight")).toBe("11");
    host.remove();
    expect(hosts()).toEqual([]);
  });

  it("have no weight where the kernel does not divide processors", () => {
    groups({ hasCpu: false }).create(1);
    expect(text("cgroup.subtree_control")).toBe("+memory");
    expect(text(hosts()[0] ?? "", "cpu.weight")).toBe("");
  });

  it("say why the kernel has ended a host", () => {
    const host = groups().create(1);
    expect(host.end).toBeUndefined();
    events(3, 0);
    expect(host.end).toBeUndefined();
    events(1, 2);
    expect(host.end).toBe("limit");
    events(0, 1);
    expect(host.end).toBe("machine");
    host.remove();
    expect(host.end).toBeUndefined();
  });

  it("of an earlier process are ended and removed, as soon as they can be", async () => {
    machine.make(join(machine.mount, "m.service", "host-1-1"));
    let tries = 0;
    groups({
      remove: (path) => {
        if (++tries < 3) throw Object.assign(new Error("busy"), { code: "EBUSY" });
        folders.remove(path);
      },
    });
    expect(text("host-1-1", "cgroup.kill")).toBe("1");
    await eventually(() => expect(hosts()).toEqual([]));
  });

  it("are not made where the kernel refuses it, and the gateway is where it was", () => {
    const path = join(machine.mount, "m.service");
    rmSync(join(path, "cgroup.subtree_control"));
    mkdirSync(join(path, "cgroup.subtree_control"));
    expect(groups).toThrow(/EISDIR/);
    expect(readFileSync(join(path, "cgroup.procs"), "utf8")).toBe(String(PID));
    expect(existsSync(join(path, "gateway"))).toBe(false);
  });

  it("are a matter of course for the gateway: what is in the way is said, not thrown", () => {
    const made = hostGroups("auto", machine.asker());
    expect(made.by === "kernel" ? basename(dirname(join(made.groups.path, "x"))) : made.reason).toBe("m.service");
    expect(hostGroups("off", machine.asker())).toEqual({ by: "watch", reason: "runtime.host_cgroups is off" });
  });
});
