/** The load generator's process: options as JSON in its only argument, reports over IPC, one run, then the end. */
import { generate } from "./generator.ts";
import { loadOptionsSchema } from "./protocol.ts";

const send = (report: object): void => {
  process.send?.(report);
};

// Nobody is left to report to.
process.on("disconnect", () => process.exit());

const options = loadOptionsSchema.parse(JSON.parse(process.argv[2] ?? ""));
send({ type: "result", result: await generate(options, (type) => send({ type })) });
process.disconnect?.();
