import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { type Bundle, digestOf, encodeBundle } from "../../src/core/bundle.ts";
import { buildFunction } from "../../src/runtime/build/build.ts";
import type { Child, Children } from "../children.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const DEPLOY_MS = 30_000;

const readySchema = z.object({ addresses: z.record(z.string(), z.string()) });
const statsSchema = z.object({ functions: z.array(z.object({ name: z.string(), state: z.string(), error: z.string().optional() })) });

/** The addresses that a program says it listens on, by what is there. */
export type Addresses = Readonly<Record<string, string>>;

/** A daemon as a user runs it. */
export function startProgram(children: Children, name: "gateway" | "control", flags: readonly string[]): Promise<Child<Addresses>> {
  return children.start({
    name,
    command: process.execPath,
    parameters: [MAIN, name, "--json", ...flags],
    ready: (line) => readySchema.parse(JSON.parse(line)).addresses,
  });
}

export function gatewayFlags(data: string, control: string): string[] {
  return ["--id", "bench", "--data", data, "--mqtt-port", "0", "--http-port", "0", "--control", control];
}

export function controlFlags(data: string): string[] {
  return ["--data", data, "--mqtt-port", "0", "--http-port", "0"];
}

/** Builds the function in `folder` and publishes it to the control plane at `control`. */
export async function publishFunction(folder: string, control: string): Promise<void> {
  await publishBundle(await buildFunction(folder), control);
}

export async function publishBundle(bundle: Bundle, control: string): Promise<void> {
  const bytes = encodeBundle(bundle);
  const url = `${control}/v1/functions/${bundle.manifest.name}`;
  const answer = await fetch(url, { method: "PUT", body: new Uint8Array(bytes), headers: { "x-millrace-digest": digestOf(bytes) } });
  if (!answer.ok) throw new Error(`the control plane refused the function: ${await answer.text()}`);
}

/** Resolves when so many functions of the gateway handle messages. */
export async function functionsActive(gateway: string, count = 1): Promise<void> {
  const deadline = performance.now() + DEPLOY_MS;
  while (performance.now() < deadline) {
    const { functions } = statsSchema.parse(await (await fetch(`${gateway}/v1/stats`)).json());
    if (functions.filter(({ state }) => state === "active").length >= count) return;
    const failed = functions.find(({ state }) => state === "failed");
    if (failed !== undefined) throw new Error(`${failed.name} failed to load: ${failed.error ?? ""}`);
    await sleep(50);
  }
  throw new Error(`not all functions were active within ${DEPLOY_MS} ms`);
}
