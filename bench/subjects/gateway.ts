import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Children } from "../children.ts";
import type { Broker } from "./broker.ts";
import { controlFlags, functionsActive, gatewayFlags, publishFunction, startProgram } from "./programs.ts";

const FUNCTION = fileURLToPath(new URL("../function", import.meta.url));

/**
 * A gateway with the function of bench/function, as a user would run it. The function comes the only way there is, through a control plane;
 * then both are stopped, and what is measured is the gateway started again, alone and without a link. `more` are folders of other functions beside it.
 */
export async function startGateway(
  children: Children,
  folder: string,
  more: readonly string[] = [],
): Promise<Broker & { readonly http: string }> {
  const data = join(folder, "gateway");
  mkdirSync(data, { recursive: true });
  const control = await startProgram(children, "control", controlFlags(join(folder, "control")));
  const linked = await startProgram(children, "gateway", gatewayFlags(data, control.ready["mqtt"] ?? ""));
  const functions = [FUNCTION, ...more];
  for (const each of functions) await publishFunction(each, control.ready["http"] ?? "");
  await functionsActive(linked.ready["http"] ?? "", functions.length);
  await linked.stop();
  await control.stop();
  const { pid, ready } = await startProgram(children, "gateway", gatewayFlags(data, ""));
  await functionsActive(ready["http"] ?? "", functions.length);
  return { name: "millrace", pid, port: Number(new URL(ready["mqtt"] ?? "").port), label: "gateway", http: ready["http"] ?? "" };
}
