import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { messageOf, systemCode } from "../../core/errors.ts";
import { hostFlags } from "../../runtime/host-process.ts";
import { type Asker, type GroupUse, ownGroup } from "../../runtime/own-group.ts";
import { fail, type Finding, ok, warn } from "./finding.ts";

const run = promisify(execFile);
const NODE_MAJOR_MIN = 26;
/** No earlier than the Node that this program needs, so an earlier clock is wrong. */
const YEAR_MIN = 2026;
const CHILD_MS_MAX = 10_000;

export function checkNode(version: string): Finding {
  const check = "node";
  if (Number(version.split(".")[0]) >= NODE_MAJOR_MIN) return ok(check, `version ${version}`);
  return fail(check, `version ${version} is too old`, `Install Node ${NODE_MAJOR_MIN} or later.`);
}

export async function checkClock(now: Date, signal: AbortSignal): Promise<Finding> {
  const check = "clock";
  if (now.getUTCFullYear() < YEAR_MIN) {
    return fail(check, `the clock says ${now.toISOString()}`, "Set it: the times of messages and events come from this clock.");
  }
  const synchronized = await timedatectl(signal);
  if (synchronized === undefined) return ok(check, `${now.toISOString()}; whether it is synchronized cannot be seen here`);
  if (synchronized) return ok(check, `${now.toISOString()}, synchronized`);
  return warn(
    check,
    `${now.toISOString()}, not synchronized`,
    "Switch time synchronization on, for example with `timedatectl set-ntp true`.",
  );
}

/** Undefined where there is no systemd to ask. */
async function timedatectl(signal: AbortSignal): Promise<boolean | undefined> {
  try {
    const { stdout } = await run("timedatectl", ["show", "--property=NTPSynchronized", "--value"], { signal, timeout: CHILD_MS_MAX });
    return stdout.trim() === "yes";
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

/** What a host process may do at most. The child reports each thing that it tried. */
const PROBE = `
const tried = {};
const attempt = (name, action) => { try { action(); tried[name] = 'done'; } catch (error) { tried[name] = error.code ?? error.message; } };
attempt('read', () => require('node:fs').readFileSync(process.execPath));
attempt('write', () => require('node:fs').writeFileSync(process.argv[2], ''));
attempt('spawn', () => require('node:child_process').spawnSync(process.execPath, ['--version']));
attempt('worker', () => new (require('node:worker_threads').Worker)('', { eval: true }));
attempt('listen', () => require('node:net').createServer().listen(0));
attempt('isolate', () => {
  const ivm = require(process.argv[1]);
  const isolate = new ivm.Isolate({ memoryLimit: 32 });
  if (isolate.createContextSync().evalSync('6 * 7') !== 42) throw new Error('the isolate cannot multiply');
  isolate.dispose();
});
process.stdout.write(JSON.stringify(tried));
`;

/** Starts a process as the functions get one and sees that it can hold isolates and nothing else. */
export async function checkIsolation(forbiddenFile: string, signal: AbortSignal): Promise<Finding> {
  const check = "isolation";
  const remedy =
    "Install the packages again with this Node, on a platform that isolated-vm has binaries for: Linux with glibc or musl, x64 or arm64.";
  let engine: string;
  let stdout: string;
  try {
    engine = fileURLToPath(import.meta.resolve("isolated-vm"));
    ({ stdout } = await run(process.execPath, [...hostFlags(), "--eval", PROBE, engine, forbiddenFile], {
      signal,
      timeout: CHILD_MS_MAX,
      env: {},
    }));
  } catch (error) {
    signal.throwIfAborted();
    return fail(check, `a host process cannot be started: ${firstLine(error)}`, remedy);
  }
  const { isolate, ...rest } = JSON.parse(stdout) as Record<string, string>;
  if (isolate !== "done") return fail(check, `a host process cannot run isolated-vm: ${isolate}`, remedy);
  const leaks = Object.entries(rest).filter(([, result]) => result !== "ERR_ACCESS_DENIED");
  if (leaks.length === 0) return ok(check, "a host process runs an isolate and is refused files, processes, workers and sockets");
  return fail(
    check,
    `a host process is not held back: ${leaks.map(([name, result]) => `${name} ${result}`).join(", ")}`,
    `Run an unchanged Node ${NODE_MAJOR_MIN}.`,
  );
}

/** Who would limit the memory of hosts if the gateway were started as this program was; a service may have another control group. */
export function checkMemoryCap(use: GroupUse, asker: Asker): Finding {
  const check = "memory cap";
  const group = ownGroup(use, asker);
  if (!("reason" in group))
    return ok(check, `started from here, hosts get control groups below ${group.path}: the kernel limits their memory`);
  const message = `started from here, the gateway watches the memory of hosts and the kernel does not limit it: ${group.reason}`;
  const remedy =
    "Start the gateway as a service of its own with `Delegate=yes` (see the guide on sizing), or set runtime.host_cgroups to auto.";
  return use === "on" ? warn(check, message, remedy) : ok(check, message);
}

function firstLine(error: unknown): string {
  if (systemCode(error) === "ETIMEDOUT") return `no answer within ${CHILD_MS_MAX} ms`;
  const stderr = error instanceof Error && "stderr" in error ? String(error.stderr) : "";
  const line = stderr.split("\n").find((text) => /error/i.test(text));
  return line?.trim() ?? messageOf(error).split("\n")[0] ?? "";
}
