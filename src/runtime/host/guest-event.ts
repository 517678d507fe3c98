import { fromBytes, readU16, readU32, readU48 } from "./guest-codec.ts";
import type { GuestOptions, GuestTrace } from "./guest-types.ts";
import { PayloadError } from "./guest-values.ts";

/** One message as the handler sees it. Fields are read from the batch when they are asked for. */
export class GuestEvent {
  readonly #text: string;
  readonly #options: GuestOptions;
  readonly #at: number;
  readonly #keyEnd: number;
  readonly #trigger: number;
  readonly seq: number;
  readonly attempt: number;
  readonly key: string;
  /** Where the next message of the batch starts. */
  readonly end: number;
  /** Flag bits of the item: 1 resumes its key, 2 gives it up when it fails, 4 keeps it even when it fails for good, 8 has a trace. */
  readonly flags: number;
  #topic: string | undefined;
  #params: Record<string, string> | undefined;
  #data: unknown;
  #decoded = false;

  constructor(text: string, at: number, options: GuestOptions) {
    this.#text = text;
    this.#options = options;
    this.flags = text.charCodeAt(at);
    this.attempt = text.charCodeAt(at + 1);
    this.#trigger = text.charCodeAt(at + 2);
    this.seq = readU48(text, at + 3);
    const keyBytes = readU16(text, at + 9);
    const keyEnd = at + 11 + keyBytes;
    this.#keyEnd = keyEnd;
    this.#at = (this.flags & 8) === 0 ? keyEnd : keyEnd + 2 + readU16(text, keyEnd);
    this.key = keyBytes === 0 ? this.topic : fromBytes(text.substring(at + 11, keyEnd));
    this.end = this.#at + 4 + readU32(text, this.#at);
  }

  get topic(): string {
    this.#topic ??= fromBytes(this.#text.substring(this.#at + 14, this.#at + 14 + readU16(this.#text, this.#at + 12)));
    return this.#topic;
  }
  get hops(): number {
    return this.#text.charCodeAt(this.#at + 5);
  }
  get id(): string {
    return `${this.#options.gateway}:${this.seq}`;
  }
  get invocation(): string {
    return `${this.seq}.${this.attempt}`;
  }
  get time(): number {
    return readU48(this.#text, this.#at + 6);
  }
  get type(): string {
    return this.#options.triggers[this.#trigger]?.kind ?? "mqtt";
  }
  /** Whether somebody waits for what the handler returns. */
  get answers(): boolean {
    return this.#options.triggers[this.#trigger]?.answers === true;
  }
  /** Of a request. */
  get http(): object | undefined {
    return this.type === "http" ? (this.#properties()["http"] as object | undefined) : undefined;
  }
  get subject(): string {
    const levels = this.topic.split("/");
    if (this.type === "schedule") return levels.slice(3).join("/");
    if (this.type === "http") return `/${levels.slice(4).map(decodeLevel).join("/")}`;
    // The levels behind that of the type, or of the function.
    return this.type === "mqtt" ? this.topic : levels.slice(3).map(decodeLevel).join("/");
  }
  get source(): string {
    return (this.type === "event" ? this.#attribute("source") : undefined) ?? this.#sender();
  }
  /** Of the event that a function has emitted. */
  get cloudEvent(): object | undefined {
    if (this.type !== "event") return undefined;
    const type = decodeLevel(this.topic.split("/")[2] ?? "");
    return { id: this.#attribute("id") ?? this.id, source: this.source, type, subject: this.subject };
  }
  #sender(): string {
    const at = this.#sourceAt();
    return fromBytes(this.#text.substring(at + 2, at + 2 + readU16(this.#text, at)));
  }
  get mqtt(): object {
    const flags = this.#text.charCodeAt(this.#at + 4);
    return { topic: this.topic, qos: flags & 3, retain: (flags & 4) !== 0, properties: this.#properties() };
  }
  get trace(): GuestTrace | undefined {
    if ((this.flags & 8) === 0) return undefined;
    const [traceparent = "", tracestate] = this.#text.substring(this.#keyEnd + 2, this.#at).split("\n");
    return tracestate === undefined ? { traceparent } : { traceparent, tracestate };
  }
  get params(): Record<string, string> {
    if (this.#params === undefined) {
      const levels = this.topic.split("/");
      this.#params = {};
      for (const [name, level] of this.#options.triggers[this.#trigger]?.names ?? []) {
        const value = levels[level] ?? "";
        this.#params[name] = this.type === "http" ? decodeLevel(value) : value;
      }
    }
    return this.#params;
  }
  get bytes(): Uint8Array {
    const raw = this.#payload();
    const bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    return bytes;
  }
  get text(): string {
    return fromBytes(this.#payload());
  }
  get data(): unknown {
    if (!this.#decoded) {
      this.#data = this.#decode();
      this.#decoded = true;
    }
    return this.#data;
  }

  #decode(): unknown {
    const type = this.#properties()["contentType"];
    if (typeof type === "string" && type.startsWith("text/")) return this.text;
    if (type === "application/octet-stream") return this.bytes;
    // A request need not have a body.
    if (this.type === "http" && this.#payload() === "") return undefined;
    try {
      return JSON.parse(this.text);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new PayloadError(`the payload on topic "${this.topic}" is not JSON: ${reason}`);
    }
  }
  #sourceAt(): number {
    return this.#at + 14 + readU16(this.#text, this.#at + 12);
  }
  #propertiesAt(): number {
    const at = this.#sourceAt();
    return at + 2 + readU16(this.#text, at);
  }
  #hasProperties(): boolean {
    return (this.#text.charCodeAt(this.#at + 4) & 8) !== 0;
  }
  #attribute(name: string): string | undefined {
    const user = this.#properties()["user"] as Record<string, string> | undefined;
    return user?.[name];
  }
  #properties(): Record<string, unknown> {
    if (!this.#hasProperties()) return {};
    const at = this.#propertiesAt();
    return JSON.parse(fromBytes(this.#text.substring(at + 2, at + 2 + readU16(this.#text, at)))) as Record<string, unknown>;
  }
  #payload(): string {
    let at = this.#propertiesAt();
    if (this.#hasProperties()) at += 2 + readU16(this.#text, at);
    return this.#text.substring(at, this.end);
  }
}

/** As decodeLevel of core/trigger-topic.ts. */
function decodeLevel(level: string): string {
  return level.replaceAll(/%([0-9A-F]{2})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
}
