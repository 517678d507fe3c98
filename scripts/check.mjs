// `npm run check`: everything a change must pass, cheapest first. Stops at the first step that fails and says which it was.
import { spawn } from "node:child_process";
import { root } from "./setup.mjs";

const STEPS = [
  ["format", "oxfmt", "--check"],
  ["lint", "oxlint", "--deny-warnings"],
  ["types", "tsc", "-p", "."],
  ["architecture", "vitest", "run", "--project", "architecture"],
  ["dead code", "knip"],
  ["tests", "vitest", "run", ...["unit", "contract", "integration", "fault"].flatMap((project) => ["--project", project])],
];

const times = [];
for (const [name, command, ...parameters] of STEPS) {
  process.stdout.write(`\n── ${name}: ${command} ${parameters.join(" ")}\n`);
  const startedAt = performance.now();
  const code = await run(command, parameters);
  times.push(`${name} ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
  if (code !== 0) {
    process.stderr.write(`\ncheck: FAILED at ${name} (${command} ended with ${code}); ${times.join(", ")}\n`);
    process.exit(1);
  }
}
process.stdout.write(`\ncheck: passed; ${times.join(", ")}\n`);

/** Resolves with the exit code, or the name of the signal. */
function run(command, parameters) {
  const child = spawn(command, parameters, { cwd: root, stdio: "inherit" });
  return new Promise((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("exit", (code, signal) => resolve(code ?? signal));
  });
}
