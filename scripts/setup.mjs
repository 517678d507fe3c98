// Runs under any Node from 18 on, so that a machine with an old one can still start: finds or fetches the Node that Millrace needs and the
// packages of the lock file. Plain JavaScript with no dependency, for the same reason.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
const NODE_MAJOR_MIN = 26;

/** Path of a Node of the needed version: the running one, or the one pinned in tools/node, installed on first use. */
export function nodePath() {
  if (Number(process.versions.node.split(".")[0]) >= NODE_MAJOR_MIN) return process.execPath;
  const tools = join(root, "tools", "node");
  const binary = join(tools, "node_modules", `node-${process.platform}-${process.arch}`, "bin", "node");
  if (!existsSync(binary)) {
    if (!existsSync(join(tools, "package-lock.json"))) {
      fail(`Millrace needs Node ${NODE_MAJOR_MIN} or later; this is ${process.version}. Install it and run the command again.`);
    }
    say(`Node ${process.versions.node} is too old for Millrace; fetching Node ${NODE_MAJOR_MIN} from the npm registry, once`);
    npmInstall(process.execPath, tools);
    if (!existsSync(binary)) {
      fail(`no Node ${NODE_MAJOR_MIN} is packaged for ${process.platform}-${process.arch}; install it and run the command again.`);
    }
  }
  return binary;
}

/** Installs what package-lock.json names, if it has changed since the last time. Does nothing outside a checkout. */
export function installDependencies(node) {
  const lock = join(root, "package-lock.json");
  if (!existsSync(lock)) return;
  const digest = createHash("sha256").update(readFileSync(lock)).digest("hex");
  const stamp = join(root, "node_modules", ".millrace-lock");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === digest) return;
  say("installing the packages of package-lock.json, once");
  npmInstall(node, root);
  writeFileSync(stamp, digest);
}

/** The environment for a child: the right Node first in PATH, so that whatever it starts finds the same one. */
export function environment(node) {
  const paths = [dirname(node), join(root, "node_modules", ".bin"), process.env.PATH ?? ""];
  return { ...process.env, PATH: paths.join(process.platform === "win32" ? ";" : ":") };
}

/**
 * What the lock file says, without touching it. Not `npm ci`: that refuses a lock file in which the binaries for other platforms are missing,
 * and they are, because the registry that it was made from did not carry them.
 */
function npmInstall(node, directory) {
  const npm = process.env.npm_execpath;
  const command = npm?.endsWith(".js") ? [node, npm] : ["npm"];
  const result = spawnSync(command[0], [...command.slice(1), "install", "--no-save", "--no-fund", "--no-audit", "--loglevel=error"], {
    cwd: directory,
    stdio: ["ignore", 2, 2],
    env: environment(node),
  });
  if (result.status !== 0) fail(`npm install failed in ${directory}; is the npm registry within reach?`);
}

function say(text) {
  process.stderr.write(`millrace: ${text}\n`);
}

function fail(text) {
  say(text);
  process.exit(1);
}
