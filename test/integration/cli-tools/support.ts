import { createServer, connect as connectSocket, type AddressInfo, type Server, type Socket } from "node:net";
import { Aedes } from "aedes";
import { runProgram } from "../../../src/cli/program.ts";

export interface Received {
  readonly topic: string;
  readonly payload: string;
  readonly qos: number;
  readonly retain: boolean;
  readonly client: string;
}

/** A real broker in this process that keeps what it was sent. */
export interface TestBroker extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  readonly received: Received[];
  readonly aedes: Aedes;
}

export async function startBroker(): Promise<TestBroker> {
  const aedes = await Aedes.createBroker();
  const received: Received[] = [];
  aedes.on("publish", ({ topic, payload, qos, retain }, client) => {
    if (client !== null) received.push({ topic, payload: payload.toString(), qos, retain, client: client.id });
  });
  const server = createServer(aedes.handle);
  const port = await listen(server);
  return {
    port,
    url: `mqtt://127.0.0.1:${port}`,
    received,
    aedes,
    async [Symbol.asyncDispose]() {
      await new Promise<void>((resolve) => aedes.close(resolve));
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

export async function listen(server: Server, port = 0): Promise<number> {
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

/** A wire to `port` that can be cut: `cutAfter` bytes in either direction, time and again, or everything at once. */
export interface Wire extends AsyncDisposable {
  readonly port: number;
  readonly cuts: () => number;
  cutNow(): void;
}

export async function startWire(port: number, cutAfter: () => number = () => Number.POSITIVE_INFINITY): Promise<Wire> {
  const sockets = new Set<Socket>();
  let cuts = 0;
  const server = createServer((near) => {
    const far = connectSocket(port, "127.0.0.1");
    let left = cutAfter();
    const drop = (): void => {
      near.destroy();
      far.destroy();
    };
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on("data", (chunk: Buffer) => {
        left -= chunk.length;
        if (left < 0) {
          cuts++;
          drop();
        } else to.write(chunk);
      });
      from.on("error", drop).on("close", () => {
        sockets.delete(from);
        drop();
      });
    }
  });
  return {
    port: await listen(server),
    cuts: () => cuts,
    cutNow: () => {
      for (const socket of sockets) socket.destroy();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliRun {
  readonly result: Promise<CliResult>;
  readonly output: { stdout: string; stderr: string };
  stop(): void;
}

/** Runs the program in this process, as main.ts does. */
export function startCli(...args: readonly string[]): CliRun {
  const stop = new AbortController();
  const output = { stdout: "", stderr: "" };
  const result = runProgram(args, {
    stdout: (text) => void (output.stdout += text),
    stderr: (text) => void (output.stderr += text),
    signal: stop.signal,
    tty: false,
    env: {},
  }).then((code) => ({ code, ...output }));
  return { result, output, stop: () => stop.abort() };
}

export function cli(...args: readonly string[]): Promise<CliResult> {
  return startCli(...args).result;
}
