import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

const BROKER = new URL("session-kill-broker.ts", import.meta.url).pathname;

/** A broker in a process of its own. */
export interface BrokerProcess extends AsyncDisposable {
  readonly address: string;
  /** With SIGKILL. */
  kill(): Promise<void>;
}

/** On the data in a folder. `options` are of the broker. */
export async function startBrokerProcess(folder: string, options: object = {}): Promise<BrokerProcess> {
  const args = [BROKER, folder, JSON.stringify(options)];
  const child: ChildProcess = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const closed = once(child, "close");
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await closed;
  };
  const first = (child.stdout === null ? [] : await Promise.race([once(child.stdout, "data"), closed])) as unknown[];
  return { address: String(first[0]).trim(), kill, [Symbol.asyncDispose]: kill };
}
