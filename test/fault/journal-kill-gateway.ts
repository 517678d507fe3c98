/**
 * The inner part of a gateway as a process that a test can kill: journal, runtime and broker with two functions.
 * `node journal-kill-gateway.ts FOLDER PORT`; prints `ready` when clients may come, ends in order on SIGTERM.
 */
import { once } from "node:events";
import { Broker } from "../../src/broker/broker.ts";
import { Drops } from "../../src/core/drops.ts";
import { silentLogger } from "../../src/core/log.ts";
import { Journal } from "../../src/journal/journal.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { accessOf } from "../support/access.ts";
import { BOUNDS } from "../support/broker.ts";
import { KEEPS_NOTHING } from "../support/journal.ts";
import { counting, relayed } from "./journal-kill-functions.ts";

const [folder = "", port = ""] = process.argv.slice(2);
await using own = new AsyncDisposableStack();
const journal = own.use(await Journal.open({ location: `${folder}/journal`, batchMax: 256, ...KEEPS_NOTHING }));
const wakes: { runtime?: Runtime } = {};
const options = {
  payloadBytesMax: 10_000,
  clientsMax: 100,
  inflightMax: 1_000,
  inflightBytesMax: 32 * 1024 ** 2,
  ...BOUNDS,
  durability: "fsync",
  access: own.use(accessOf(folder)),
} as const;
const broker = own.use(
  await Broker.create(
    { gateway: "g", endpoint: { host: "127.0.0.1", port: Number(port) }, location: `${folder}/sessions`, ...options },
    {
      ledger: journal.qos2,
      matches: (topic) => wakes.runtime?.matches(topic) ?? "none",
      append: (entry, done) => journal.append(entry, done),
      appendOnce: (client, packetId, entry, done) => journal.qos2.append(client, packetId, entry, done),
    },
    silentLogger,
  ),
);
const runtime = own.use(await Runtime.start({ gateway: "g", hosts: 1, pendingMax: 500, drops: new Drops() }, journal, silentLogger));
wakes.runtime = runtime;
journal.subscribe({
  incoming: (messages) => runtime.accept(messages),
  publishes: (number, records) => broker.deliver(records, () => broker.secured(() => journal.delivered(number))),
});
for (const { target, bundle } of [counting, relayed]) await runtime.deploy(target, bundle);
await journal.redeliver();
runtime.begin();
runtime.begin();
await broker.listen();
// Much more often than a gateway does, so that a kill comes in the middle of it.
const trim = setInterval(() => void journal.trim(runtime.floor), 5);
own.defer(() => clearInterval(trim));
process.stdout.write("ready\n");
await once(process, "SIGTERM");
const behind = (): boolean => runtime.stats().functions.some(({ backlog }) => backlog > 0);
// What was settled may still be on its way to the disk and wake a function from there; twice in a row nothing may have moved.
for (let quiet = 0; quiet < 2;) {
  const seq = journal.nextSeq;
  while (behind()) await new Promise((resolve) => setImmediate(resolve));
  await journal.removeFunction("nobody"); // Written behind every commit so far.
  quiet = seq === journal.nextSeq && !behind() ? quiet + 1 : 0;
}
