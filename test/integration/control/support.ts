import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectAsync, type MqttClient } from "mqtt";
import type { z } from "zod";
import { type ControlPlane, startControlPlane } from "../../../src/control-plane.ts";
import { eventId, type OutboxEvent } from "../../../src/core/event.ts";
import { type DownTopic, decodeLink, encodeLink, linkTopic, type UpTopic } from "../../../src/core/link.ts";
import { type EventAck, eventAckSchema } from "../../../src/core/link-messages.ts";
import { silentLogger } from "../../../src/core/log.ts";

const HOST = "127.0.0.1";

/** A folder that is gone when it is disposed. */
export async function temporaryFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), "millrace-control-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

export function startControl(data: string, ports: { http?: number; mqtt?: number } = {}): Promise<ControlPlane> {
  const http = { host: HOST, port: ports.http ?? 0 };
  return startControlPlane({ data, http, mqtt: { host: HOST, port: ports.mqtt ?? 0 } }, { logger: silentLogger });
}

export function sampleEvent(gateway: string, n: number, changes: Partial<OutboxEvent> = {}): OutboxEvent {
  return {
    id: eventId(gateway, n, changes.function ?? "celsius", 0),
    function: "celsius",
    version: 1,
    type: "measurement",
    subject: `sensors/d${n}/temp`,
    time: 1_700_000_000_000,
    data: JSON.stringify({ n: `d${n}`, u: "Cel", v: 20.5 }),
    ...changes,
  };
}

/** Speaks for a gateway with raw link messages, to see what the control plane really answers. */
export class RawGateway implements AsyncDisposable {
  readonly id: string;
  readonly client: MqttClient;
  readonly #received: { name: string; payload: Buffer }[] = [];
  readonly #waiting = new Set<() => void>();

  private constructor(id: string, client: MqttClient) {
    this.id = id;
    this.client = client;
    client.on("message", (topic, payload) => {
      this.#received.push({ name: topic.slice(linkTopic(id, "desired").length - "desired".length), payload });
      for (const wake of this.#waiting) wake();
    });
  }

  static async connect(url: string, id: string): Promise<RawGateway> {
    const client = await connectAsync(url, { protocolVersion: 5, clientId: id, clean: true, reconnectPeriod: 0 });
    const gateway = new RawGateway(id, client);
    await client.subscribeAsync(linkTopic(id, "desired").replace("desired", "#"), { qos: 1 });
    return gateway;
  }

  async send(name: UpTopic, value: Parameters<typeof encodeLink>[0]): Promise<void> {
    await this.client.publishAsync(linkTopic(this.id, name), encodeLink(value), { qos: 1 });
  }

  /** The next message of this kind that `accept` takes; what came before counts, and is taken away. */
  async next<T>(name: DownTopic, schema: z.ZodType<T>, accept: (value: T) => boolean = () => true): Promise<T> {
    for (;;) {
      for (const [index, message] of this.#received.entries()) {
        const value = message.name === name ? decodeLink(schema, message.payload) : undefined;
        if (value === undefined || !accept(value)) continue;
        this.#received.splice(index, 1);
        return value;
      }
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          resolve();
        };
        this.#waiting.add(wake);
      });
    }
  }

  /** Whether a message of this kind has come and was not taken. */
  has(name: DownTopic): boolean {
    return this.#received.some((message) => message.name === name);
  }

  async upload(batch: number, events: OutboxEvent[]): Promise<EventAck> {
    await this.send("events", { batch, events });
    return this.next("events/ack", eventAckSchema, (ack) => ack.batch === batch);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.endAsync(true);
  }
}
