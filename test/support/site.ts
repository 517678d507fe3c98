import { connectAsync, type IClientOptions, type IClientPublishOptions, type MqttClient } from "mqtt";
import { vi } from "vitest";
import { startControlPlane } from "../../src/control-plane.ts";
import { encodeBundle } from "../../src/core/bundle.ts";
import { loadConfig } from "../../src/core/config.ts";
import type { FunctionStats } from "../../src/core/stats.ts";
import { GATEWAY_TABLE } from "../../src/core/gateway-config.ts";
import { silentLogger } from "../../src/core/log.ts";
import { type Gateway, startGateway } from "../../src/gateway.ts";
import type { TestFunction } from "./functions.ts";
import { TempFolder } from "./temp-folder.ts";

const LOCAL = { host: "127.0.0.1", port: 0 };

/** A control plane and a gateway with a sensor, all in this process and real, in a folder that goes with them. */
export class Site implements AsyncDisposable {
  readonly gateway: Gateway;
  readonly folder: string;
  /** The control plane's HTTP. */
  readonly control: string;
  readonly #sensor: MqttClient;
  readonly #own: AsyncDisposableStack;

  private constructor(parts: { gateway: Gateway; folder: string; control: string; sensor: MqttClient }, own: AsyncDisposableStack) {
    this.gateway = parts.gateway;
    this.folder = parts.folder;
    this.control = parts.control;
    this.#sensor = parts.sensor;
    this.#own = own;
  }

  static async open(...functions: readonly TestFunction[]): Promise<Site> {
    await using own = new AsyncDisposableStack();
    const folder = own.use(await TempFolder.make());
    const control = own.use(await startControlPlane({ data: folder.join("control"), http: LOCAL, mqtt: LOCAL }, { logger: silentLogger }));
    const text = `id: g\ndata: ${folder.join("gateway")}\nmqtt.port: 0\nhttp.port: 0\ncontrol.url: ${control.addresses.mqtt}\n`;
    const gateway = own.use(await startGateway(loadConfig(GATEWAY_TABLE, { text, env: {} }), { logger: silentLogger }));
    const sensor = await connectAsync(gateway.addresses.mqtt, { protocolVersion: 5, clientId: "sensor" });
    own.defer(() => sensor.endAsync(true));
    const site = new Site({ gateway, sensor, folder: folder.path, control: control.addresses.http }, own.move());
    for (const one of functions) await site.publish(one);
    return site;
  }

  get http(): string {
    return this.gateway.addresses.http;
  }

  /** Resolves when the gateway runs the version. */
  async publish({ bundle }: TestFunction): Promise<void> {
    const { name } = bundle.manifest;
    const body = new Uint8Array(encodeBundle(bundle));
    const answer = await fetch(`${this.control}/v1/functions/${name}`, { method: "PUT", body });
    const { digest } = (await answer.json()) as { digest: string };
    await vi.waitUntil(() => this.#find(name)?.digest === digest, { timeout: 10_000, interval: 5 });
  }

  /** Resolves with the acknowledgement. */
  async send(topic: string, payload: string | Buffer, options: IClientPublishOptions = {}): Promise<void> {
    await this.#sensor.publishAsync(topic, payload, { qos: 1, ...options });
  }

  /** A further client, which goes with the site. */
  async client(options: IClientOptions): Promise<MqttClient> {
    const client = await connectAsync(this.gateway.addresses.mqtt, options);
    this.#own.defer(() => client.endAsync(true));
    return client;
  }

  stats(name: string): FunctionStats {
    const found = this.#find(name);
    if (found === undefined) throw new Error(`no function "${name}"`);
    return found;
  }

  /** Resolves when the function has handled that many messages. */
  async handled(name: string, messages: number): Promise<void> {
    await vi.waitUntil(() => this.stats(name).handled >= messages, { timeout: 10_000, interval: 5 });
  }

  #find(name: string): FunctionStats | undefined {
    return this.gateway.stats().functions.find((one) => one.name === name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#own.disposeAsync();
  }
}
