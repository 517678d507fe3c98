#!/usr/bin/env node
// The `millrace` command. In a checkout it runs src/ directly, from a package dist/; with an old Node it hands over to the right one.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { environment, installDependencies, nodePath, root } from "../scripts/setup.mjs";

const node = nodePath();
installDependencies(node);
const source = join(root, "src", "cli", "main.ts");
const entry = existsSync(source) ? source : join(root, "dist", "cli", "main.js");
if (node === process.execPath) {
  await import(entry);
} else {
  const child = spawn(node, [entry, ...process.argv.slice(2)], { stdio: "inherit", env: environment(node) });
  // A terminal sends Ctrl-C to the child too; a second copy would be taken for impatience.
  process.on("SIGINT", () => {});
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}
