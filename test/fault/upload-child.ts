import { silentLogger } from "../../src/core/log.ts";
import { Journal } from "../../src/journal/journal.ts";
import { startSync } from "../../src/sync/sync.ts";

/** The outbox of a gateway and its link, in a process that can be killed: `node upload-child.ts FOLDER URL`. Prints `ready`; runs until killed. */
const [folder = "", url = ""] = process.argv.slice(2);
const journal = await Journal.open({ location: `${folder}/journal`, batchMax: 256 });
const deployer = {
  deploy: () => Promise.resolve(),
  remove: () => Promise.resolve(),
  refuse: () => undefined,
  reported: () => [],
  known: () => [],
};
const options = { gateway: "gw-1", url, data: `${folder}/sync`, version: "0.1.0", labels: {} };
const sync = startSync(options, { outbox: journal.outbox, deployer }, { logger: silentLogger });
process.stdout.write("ready\n");
sync.connect();
await sync.stopped;
