import { type Packet, parser } from "mqtt-packet";
import { PREFIX } from "./grammar.ts";
import { parsePublish, type Sent } from "./sent.ts";

/** From here on a reason code says that something was refused (MQTT 5, 2.4). */
const REFUSED = 0x80;

export function hex(code: number): string {
  return `0x${code.toString(16).padStart(2, "0")}`;
}

/** What the broker says on one connection. */
export class Answers {
  readonly #sent: Sent;
  readonly #version: number;
  readonly #packets: ReturnType<typeof parser>;
  readonly #received = new Set<number>();
  /** Messages that it has said are safe, and that have to reach who subscribes to them. */
  readonly acknowledged: { readonly topic: string; readonly payload: Buffer }[] = [];
  /** What it said that is no MQTT. */
  garbage: string | undefined;
  /** Of the CONNACK. */
  code: number | undefined;
  isResumed = false;
  pongs = 0;
  /** PUBACK and PUBREC. */
  answered = 0;
  /** Of the DISCONNECT. */
  reason: number | undefined;
  /** Called with everything that comes. */
  changed: () => void = () => undefined;

  constructor(sent: Sent) {
    this.#sent = sent;
    this.#version = sent.connect?.version === 5 ? 5 : 4;
    this.#packets = parser({ protocolVersion: this.#version });
    this.#packets.on("packet", (packet) => this.#take(packet));
    this.#packets.on("error", (error) => (this.garbage ??= error.message));
  }

  take(bytes: Buffer): void {
    if (this.garbage === undefined) this.#packets.parse(bytes);
    this.changed();
  }

  get isAccepted(): boolean {
    return this.code === 0;
  }

  #take(packet: Packet): void {
    if (packet.cmd === "puback" || packet.cmd === "pubrec") this.answered++;
    if (this.code === undefined && packet.cmd !== "connack") this.garbage ??= `${packet.cmd} before CONNACK`;
    if (packet.cmd === "connack") {
      if (this.code !== undefined) this.garbage ??= "a second CONNACK";
      this.code = packet.reasonCode ?? packet.returnCode ?? 0;
      this.isResumed = packet.sessionPresent;
    } else if (packet.cmd === "pingresp") this.pongs++;
    else if (packet.cmd === "disconnect") this.reason = packet.reasonCode ?? 0;
    else if (packet.cmd === "puback") this.#safe(packet.messageId ?? 0, packet.reasonCode ?? 0, 1);
    else if (packet.cmd === "pubrec" && (packet.reasonCode ?? 0) < REFUSED) this.#received.add(packet.messageId ?? 0);
    // What a session has taken of an earlier connection may have the same id.
    else if (packet.cmd === "pubcomp" && this.#received.has(packet.messageId ?? 0) && !this.isResumed)
      this.#safe(packet.messageId ?? 0, packet.reasonCode ?? 0, 2);
  }

  #safe(id: number, code: number, qos: number): void {
    const bytes = this.#sent.publishes.get(id);
    if (code >= REFUSED || bytes === undefined) return;
    const message = parsePublish(bytes, this.#version);
    // One that is sent again may be the one from before, and one that expires need not arrive.
    if (message === undefined || message.dup || message.qos !== qos || message.properties?.messageExpiryInterval !== undefined) return;
    if (message.topic.startsWith(`${PREFIX}/`)) this.acknowledged.push({ topic: message.topic, payload: Buffer.from(message.payload) });
  }
}
