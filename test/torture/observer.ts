import { connectAsync, type MqttClient } from "mqtt";
import { z } from "zod";
import type { Ledger } from "./ledger.ts";

const payloadSchema = z.object({ n: z.int() });

/** A local subscriber at QoS 1, in a session that outlives every connection, that notes what functions pass on. */
export class Observer implements AsyncDisposable {
  readonly #client: MqttClient;

  private constructor(client: MqttClient) {
    this.#client = client;
  }

  static async connect(port: number, ledger: Ledger): Promise<Observer> {
    const client = await connectAsync({
      host: "127.0.0.1",
      port,
      clientId: "observer",
      clean: false,
      protocolVersion: 5,
      properties: { sessionExpiryInterval: 86_400 },
      reconnectPeriod: 50,
      connectTimeout: 5_000,
    });
    client.on("error", () => undefined); // The broker is killed over and over.
    client.on("message", (topic, payload) => {
      ledger.deliver(topic.slice("out/".length), payloadSchema.parse(JSON.parse(payload.toString())).n);
    });
    await client.subscribeAsync("out/#", { qos: 1 });
    return new Observer(client);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.endAsync(true);
  }
}
