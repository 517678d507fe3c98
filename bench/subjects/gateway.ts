import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { digestOf, encodeBundle } from "../../src/core/bundle.ts";
import { buildFunction } from "../../src/runtime/build/build.ts";
import type { Child, Children } from "../children.ts";
import type { Broker } from "./broker.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const FUNCTION = fileURLToPath(new URL("../function", import.meta.url));
const DEPLOY_MS = 30_000;

const readySchema = z.object({ addresses: z.record(z.string(), z.string()) });
const statsSchema = z.object({ functions: z.array(z.object({ name: z.string(), state: z.string(), error: z.string().optional() })) });

type Addresses = Readonly<Record<string, string>>;

/**
 * A gateway with the function of bench/function, as a user would run it. The function comes the only way there is, through a control plane;
 * then both are stopped, and what is measured is the gateway started again, alone and without a link.
 */
export async function startGateway(children: Children, folder: string): Promise<Broker> {
  const data = join(folder, "gateway");
  mkdirSync(data, { recursive: true });
  const control = await program(children, "control", ["--data", join(folder, "control"), "--mqtt-port", "0", "--http-port", "0"]);
  const linked = await program(children, "gateway", gatewayFlags(data, control.ready["mqtt"] ?? ""));
  await publish(control.ready["http"] ?? "");
  await active(linked.ready["http"] ?? "");
  await linked.stop();
  await control.stop();
  const { pid, ready } = await program(children, "gateway", gatewayFlags(data, ""));
  await active(ready["http"] ?? "");
  return { name: "millrace", pid, port: Number(new URL(ready["mqtt"] ?? "").port), label: "gateway" };
}

function gatewayFlags(data: string, control: string): string[] {
  return ["--id", "bench", "--data", data, "--mqtt-port", "0", "--http-port", "0", "--control", control];
}

function program(children: Children, name: string, flags: readonly string[]): Promise<Child<Addresses>> {
  return children.start({
    name,
    command: process.execPath,
    parameters: [MAIN, name, "--json", ...flags],
    ready: (line) => readySchema.parse(JSON.parse(line)).addresses,
  });
}

async function publish(control: string): Promise<void> {
  const bundle = await buildFunction(FUNCTION);
  const bytes = encodeBundle(bundle);
  const url = `${control}/v1/functions/${bundle.manifest.name}`;
  const answer = await fetch(url, { method: "PUT", body: new Uint8Array(bytes), headers: { "x-millrace-digest": digestOf(bytes) } });
  if (!answer.ok) throw new Error(`the control plane refused the function: ${await answer.text()}`);
}

async function active(gateway: string): Promise<void> {
  const deadline = performance.now() + DEPLOY_MS;
  while (performance.now() < deadline) {
    const { functions } = statsSchema.parse(await (await fetch(`${gateway}/v1/stats`)).json());
    if (functions[0]?.state === "active") return;
    if (functions[0]?.state === "failed") throw new Error(`the function failed to load: ${functions[0].error ?? ""}`);
    await sleep(50);
  }
  throw new Error(`the function was not active within ${DEPLOY_MS} ms`);
}
