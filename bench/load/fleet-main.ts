/** The process of many devices: options as JSON in its only argument, reports over IPC, one run, then the end. */
import { runDevices } from "./fleet.ts";
import { fleetOptionsSchema } from "./protocol.ts";

const send = (report: object): void => {
  process.send?.(report);
};

// Nobody is left to report to.
process.on("disconnect", () => process.exit());

const options = fleetOptionsSchema.parse(JSON.parse(process.argv[2] ?? ""));
send({ type: "result", result: await runDevices(options, (type) => send({ type })) });
process.disconnect?.();
