/**
 * A broker as a process that a test can kill, with a journal in memory. `node session-kill-broker.ts FOLDER [OPTIONS]`, with options of the broker as JSON;
 * prints its address when clients may come.
 */
import type { BrokerOptions } from "../../src/broker/broker-options.ts";
import { startBroker, TestIntake } from "../support/broker.ts";

const [folder = "", options = "{}"] = process.argv.slice(2);
const broker = await startBroker(new TestIntake(), folder, JSON.parse(options) as Partial<BrokerOptions>);
process.stdout.write(`${broker.address}\n`);
