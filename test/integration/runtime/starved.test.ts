import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { Core } from "../../support/core.ts";
import { functionOf } from "../../support/functions.ts";
import { hostsOf } from "../../support/processes.ts";

/** Stops all hosts of this process for so long, as a machine does that has no processor for them. */
async function starve(ms: number): Promise<void> {
  const hosts = hostsOf(process.pid);
  for (const pid of hosts) process.kill(pid, "SIGSTOP");
  await sleep(ms);
  for (const pid of hosts) process.kill(pid, "SIGCONT");
}

it.each([
  ["goes on where it was when that is over", 600],
  ["is handled again without an attempt when that takes longer", 1_500],
])("a handler whose host has no processor while it waits %s", { timeout: 30_000 }, async (_what, ms) => {
  const asked = Promise.withResolvers<void>();
  const starved = asked.promise.then(() => starve(ms));
  const server = createServer((_request, response) => {
    asked.resolve();
    response.end("1");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  await using own = new AsyncDisposableStack();
  own.defer(() => void server.close());
  const core = own.use(await Core.temporary());
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await core.deploy(
    functionOf({
      http: [address],
      limits: { cpuMs: 50, wallMs: 500 },
      retry: { attempts: 1 },
      handler: `await fetch('${address}/'); await new Promise((done) => setTimeout(done, 20)); ctx.emit('done', event.attempt);`,
    }),
  );
  await core.send("in/a", 1);
  await starved;
  await core.drained();
  expect(await core.deadLetters()).toEqual([]);
  expect((await core.events("done")).map(({ data }) => data)).toEqual([1]);
});
