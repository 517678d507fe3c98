/**
 * A broker as a process that a test can kill, with a journal in memory. `node session-kill-broker.ts FOLDER`; prints its address when clients
 * may come.
 */
import { startBroker, TestIntake } from "../support/broker.ts";

const [folder = ""] = process.argv.slice(2);
const broker = await startBroker(new TestIntake(), folder);
process.stdout.write(`${broker.address}\n`);
