import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const LIMITED = 'ulimit -n 80; exec "$0" "$@"';

it("a gateway that has no descriptor for a new host says so and goes on, and starts one when it has", async () => {
  const child = [process.execPath, "--no-node-snapshot", fileURLToPath(new URL("./descriptors-child.ts", import.meta.url))];
  const { stdout, stderr } = await promisify(execFile)("sh", ["-c", LIMITED, ...child], { timeout: 20_000 });
  expect(stdout).toMatch(/"reason":"signal SIGKILL.*\n.*"reason":"a host process did not start: .*EMFILE/);
  expect(stdout).toMatch(/\nloaded\n$/);
  expect(stderr).toBe("");
});
