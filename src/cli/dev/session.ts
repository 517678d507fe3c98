import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../../core/clock.ts";
import { aborted } from "../../core/lifecycle.ts";
import { ControlClient } from "../client/control-client.ts";
import { GatewayClient } from "../client/gateway-client.ts";
import { startSimulator } from "../simulate.ts";
import type { Addresses } from "./child.ts";
import { Deployer } from "./deployer.ts";
import { LogFile } from "./log-file.ts";
import type { DevModel } from "./model.ts";
import { monitor } from "./monitor.ts";
import { Supervisor } from "./supervisor.ts";
import { watchFolder } from "./watch.ts";

/** Ends of gateway and control plane together have to fit into the 3 s that a stop may take. */
const GATEWAY_KILL_MS = 2_000;
const CONTROL_HEADSTART_MS = 1_000;
const CONTROL_KILL_MS = 1_500;

export interface DevOptions {
  readonly functionsDir: string;
  readonly data: string;
  readonly gatewayId: string;
  readonly simulate: boolean;
  readonly watch: boolean;
  readonly ports: { readonly mqtt: number; readonly http: number; readonly control: number; readonly link: number };
  readonly env: Readonly<Record<string, string | undefined>>;
}

interface SessionParts {
  readonly model: DevModel;
  readonly clock: Clock;
  /** Called once when everything runs. */
  readonly onReady: () => void;
}

/**
 * Runs control plane, gateway, deployment, watching and simulated sensors until the signal aborts, then ends all of it in reverse order.
 * @throws MillraceError when something could not be started or kept running; nothing is left running then either
 */
export async function runSession(options: DevOptions, { model, clock, onReady }: SessionParts, signal: AbortSignal): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const ending = new AbortController();
  const working = AbortSignal.any([signal, ending.signal]);
  const log = (name: string): LogFile => stack.use(new LogFile(join(options.data, "logs", `${name}.log`)));
  let deployer: Deployer | undefined;
  const common = { env: options.env, clock, onNote: model.note.bind(model), onBack: () => void deployer?.sync() };

  const control = await Supervisor.start({ ...common, name: "control plane", log: log("control"), args: controlArgs(options) }, signal);
  stack.defer(() => control.stop(CONTROL_KILL_MS));
  const gatewayArgs = gatewayArgsOf(options, () => control.addresses.mqtt);
  const gateway = await Supervisor.start({ ...common, name: "gateway", log: log("gateway"), args: gatewayArgs }, signal);
  stack.defer(() => stopBoth(gateway, control));
  stack.defer(() => ending.abort());

  const { mqtt, http } = gateway.addresses;
  model.update({ phase: "running", addresses: { mqtt, http, control: control.addresses.http } });
  const controlClient = new ControlClient(control.addresses.http, working);
  const failed = Promise.race([control.stopped, gateway.stopped]);
  deployer = new Deployer({ directory: options.functionsDir, control: controlClient, model }, working);
  await Promise.race([deployer.sync(), failed, aborted(signal)]);
  const tasks = [monitor({ gateway: new GatewayClient(http, working), control: controlClient, model, clock }, working)];
  if (options.watch) tasks.push(watching(options.functionsDir, deployer, model, working));
  if (options.simulate && !signal.aborted) model.update({ devices: stack.use(startSimulator({ url: mqtt })).devices });
  if (!signal.aborted) onReady();
  await Promise.race([aborted(signal), failed, Promise.all(tasks)]);
  model.update({ phase: "stopping" });
  ending.abort();
  await Promise.all(tasks);
}

/** The gateway first, which still has events to hand over; the control plane a moment later even if the gateway is slow to end. */
async function stopBoth(gateway: Supervisor, control: Supervisor): Promise<void> {
  const gone = gateway.stop(GATEWAY_KILL_MS);
  const patience = new AbortController();
  await Promise.race([gone, sleep(CONTROL_HEADSTART_MS, undefined, { signal: patience.signal }).catch(() => {})]);
  patience.abort();
  await Promise.all([gone, control.stop(CONTROL_KILL_MS)]);
}

function controlArgs({ data, ports }: DevOptions): (before: Addresses | undefined) => readonly string[] {
  return (before) => [
    "control",
    "--data",
    join(data, "control"),
    "--http-port",
    portOf(before?.http, ports.control),
    "--mqtt-port",
    portOf(before?.mqtt, ports.link),
  ];
}

function gatewayArgsOf({ data, gatewayId, ports }: DevOptions, link: () => string): (before: Addresses | undefined) => readonly string[] {
  return (before) => [
    "gateway",
    "--id",
    gatewayId,
    "--data",
    join(data, "gateway"),
    "--mqtt-port",
    portOf(before?.mqtt, ports.mqtt),
    "--http-port",
    portOf(before?.http, ports.http),
    "--control",
    link(),
  ];
}

function portOf(address: string | undefined, wanted: number): string {
  return address === undefined ? String(wanted) : new URL(address).port;
}

async function watching(directory: string, deployer: Deployer, model: DevModel, signal: AbortSignal): Promise<void> {
  await watchFolder(directory, { onChange: () => void deployer.sync(), onError: (text) => model.note("warn", text) }, signal);
}
