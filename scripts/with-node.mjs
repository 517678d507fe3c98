// `node scripts/with-node.mjs COMMAND …` runs COMMAND after set-up, with the right Node and the project's own tools first in PATH.
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { environment, installDependencies, nodePath, root } from "./setup.mjs";

const node = nodePath();
installDependencies(node);
const [command, ...parameters] = process.argv.slice(2);
const child = spawn(command, parameters, { stdio: "inherit", env: environment(node), cwd: root });
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("error", (error) => {
  process.stderr.write(`${command}: ${error.message}\n`);
  process.exit(127);
});
child.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
