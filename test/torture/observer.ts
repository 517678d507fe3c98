import { connectAsync, type IClientOptions, type MqttClient } from "mqtt";
import { z } from "zod";
import type { Ledger } from "./ledger.ts";

const payloadSchema = z.object({ n: z.int() });

/** What functions pass on, and what goes from client to client. */
const FILTERS = ["out/#", "plain/#"];

/** `near` never has trouble with its connection; `far` is cut off and away at times. */
const KINDS = {
  near: { qos: 1, options: { protocolVersion: 5, properties: { sessionExpiryInterval: 86_400 } } },
  far: { qos: 2, options: { protocolVersion: 4 } },
} as const satisfies Record<string, { qos: 1 | 2; options: IClientOptions }>;
type ObserverName = keyof typeof KINDS;
export const OBSERVER_NAMES = Object.keys(KINDS) as ObserverName[];

/** A local subscriber in a session that outlives every connection, that notes what it gets. */
export class Observer implements AsyncDisposable {
  readonly #client: MqttClient;

  private constructor(client: MqttClient) {
    this.#client = client;
  }

  static async connect(port: number, name: ObserverName, ledger: Ledger): Promise<Observer> {
    const { qos, options } = KINDS[name];
    const client = await connectAsync({
      host: "127.0.0.1",
      port,
      clientId: name,
      clean: false,
      reconnectPeriod: 50,
      connectTimeout: 5_000,
      ...options,
    });
    client.on("error", () => undefined); // The broker is killed over and over.
    let connection = 1;
    client.on("connect", () => connection++);
    client.on("message", (topic, payload, { messageId, dup }) => {
      const how = `(connection ${connection}, id ${messageId}${dup ? ", dup" : ""})`;
      ledger.deliver(name, topic.slice(topic.indexOf("/") + 1), payloadSchema.parse(JSON.parse(payload.toString())).n, how);
    });
    await client.subscribeAsync([...FILTERS], { qos });
    return new Observer(client);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.endAsync(true);
  }
}
