import { startControlPlane } from "../../src/control-plane.ts";
import { createLogger } from "../../src/core/log.ts";

/** A control plane in a process that can be killed. Prints its addresses, or the code of the error, as one line of JSON. */
const [data = ""] = process.argv.slice(2);
const at = { host: "127.0.0.1", port: 0 };
const control = await startControlPlane({ data, http: at, mqtt: at }, { logger: createLogger("control", "error") });
process.stdout.write(`${JSON.stringify(control.addresses)}\n`);
await control.stopped;
