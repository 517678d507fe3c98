import { type ClientOptions, WebSocket } from "ws";
import { z } from "zod";

const message = z.looseObject({
  id: z.int().optional(),
  method: z.string().optional(),
  params: z.record(z.string(), z.unknown()).optional(),
  result: z.record(z.string(), z.unknown()).optional(),
  error: z.looseObject({ message: z.string() }).optional(),
});

type Notification = z.infer<typeof message>;

/** A client of the DevTools protocol over a real WebSocket. */
export class Debugger implements AsyncDisposable {
  /** Everything it was told without having asked, oldest first. */
  readonly told: Notification[] = [];
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  readonly #socket: WebSocket;
  readonly #asked = new Map<number, (answer: Notification) => void>();
  #nextId = 1;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    this.closed = new Promise((resolve) => socket.once("close", (code, reason) => resolve({ code, reason: reason.toString() })));
    socket.on("message", (data: Buffer) => {
      const parsed = message.parse(JSON.parse(data.toString()));
      if (parsed.id === undefined) this.told.push(parsed);
      else this.#asked.get(parsed.id)?.(parsed);
    });
  }

  static async connect(url: string, options: ClientOptions = {}): Promise<Debugger> {
    const socket = new WebSocket(url, options);
    const client = new Debugger(socket);
    await new Promise<void>((resolve, reject) => socket.once("open", resolve).once("error", reject));
    return client;
  }

  async ask(method: string, params: object = {}): Promise<Record<string, unknown>> {
    const id = this.#nextId++;
    const answer = await new Promise<Notification>((resolve) => {
      this.#asked.set(id, resolve);
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
    if (answer.error !== undefined) throw new Error(answer.error.message);
    return answer.result ?? {};
  }

  /** The parameters of the newest notification of this kind; undefined when there was none. */
  last(method: string): Record<string, unknown> | undefined {
    return this.told.findLast((one) => one.method === method)?.params;
  }

  /** Sends what no debugger would. */
  raw(text: string): void {
    this.#socket.send(text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await this.closed;
  }
}
