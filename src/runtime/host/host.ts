import { Socket } from "node:net";
import type { Engine, Instance, InstanceInspector, RunOutcome } from "./engine.ts";
import { type Fault, FRAME, FrameReader, isForInspector, type LoadSpec, u32, writeFrame } from "./frames.ts";
import { InitFailed } from "./init-failed.ts";
import { Makings } from "./makings.ts";

interface Made {
  instance?: Instance;
}

/** One isolate and the batches that wait for it. */
interface Slot {
  readonly ready: Promise<Instance | undefined>;
  /** The same from before its `init` on. */
  readonly made: Made;
  tail: Promise<void>;
}

interface HostParts {
  /** `quiet`: whether nobody waits for the process. `stuck` ends it, because an isolate cannot be stopped from inside. */
  readonly engine: (options: { readonly quiet: () => boolean; readonly stuck: (reason: string) => void }) => Engine;
  /** Does what a debugger asks for. Without it a frame of a debugger is a bug of the gateway and ends the process. */
  readonly inspect?: (inspector: InstanceInspector, kind: number, body: Buffer) => void;
}

/** Holds isolates and does what comes in over descriptor 3. */
export class Host {
  readonly #pipe = new Socket({ fd: 3, readable: true, writable: true });
  readonly #slots = new Map<number, Slot>();
  readonly #makings = new Makings();
  readonly #engine: Engine;
  readonly #inspect: HostParts["inspect"];
  /** Loads and batches that have come in and are not answered. */
  #unanswered = 0;

  /** Until its gateway is gone. */
  static run(parts: HostParts): Host {
    return new Host(parts);
  }

  private constructor({ engine, inspect }: HostParts) {
    this.#inspect = inspect;
    this.#engine = engine({
      quiet: () => this.#unanswered === 0,
      stuck: endProcess,
    });
    const reader = new FrameReader((kind, id, body) => this.#receive(kind, id, body));
    this.#pipe.on("data", (chunk: Buffer) => reader.push(chunk));
    // Without its gateway a host has no purpose, and whatever it was doing will be done again.
    this.#pipe.on("close", () => process.exit(0));
    this.#pipe.on("error", () => process.exit(0));
    this.#send(FRAME.READY, 0);
  }

  #send(kind: number, instance: number, ...parts: readonly Uint8Array[]): void {
    writeFrame(this.#pipe, { kind, instance }, parts);
  }

  #sendCall(id: number, { request, what, head, body }: { request: number; what: number; head: Buffer; body: Buffer }): void {
    this.#send(FRAME.CALL, id, u32(request), Buffer.from([what & 255]), u32(head.length), head, body);
  }

  #receive(kind: number, id: number, body: Buffer): void {
    const slot = this.#slots.get(id);
    if (kind === FRAME.PING) {
      this.#send(FRAME.PONG, id);
    } else if (kind === FRAME.LOAD) {
      const made: Made = {};
      this.#slots.set(id, { ready: this.#load(id, JSON.parse(body.toString()) as LoadSpec, made), made, tail: Promise.resolve() });
    } else if (isForInspector(kind)) {
      this.#debug(kind, slot, body);
    } else if (slot === undefined) {
      // It was cut off or unloaded while this frame was on its way.
    } else if (kind === FRAME.RUN) {
      this.#unanswered++;
      slot.tail = slot.tail.then(() => this.#run(id, slot, body));
    } else if (kind === FRAME.STATE) {
      void slot.ready.then((instance) => instance?.stateLoaded(body.readUInt32BE(0), body.toString("utf8", 4)));
    } else if (kind === FRAME.ANSWER) {
      const end = 8 + body.readUInt32BE(4);
      slot.made.instance?.answered(body.readUInt32BE(0), body.toString("utf8", 8, end), body.toString("latin1", end));
    } else if (kind === FRAME.UNLOAD) {
      this.#slots.delete(id);
      void slot.tail.then(async () => (await slot.ready)?.dispose());
    }
  }

  #debug(kind: number, slot: Slot | undefined, body: Buffer): void {
    const inspect = this.#inspect;
    if (inspect === undefined) return endProcess(`a frame of a debugger, kind ${kind}, in a host without an inspector`);
    const tell = async (): Promise<void> => {
      const instance = await slot?.ready;
      if (instance?.inspector !== undefined) inspect(instance.inspector, kind, body);
    };
    void tell();
  }

  async #load(id: number, spec: LoadSpec, made: Made): Promise<Instance | undefined> {
    this.#unanswered++;
    try {
      await this.#makings.turn();
      const instance = await this.#engine.create(spec, {
        loadState: (request, keys) => this.#send(FRAME.STATE_GET, id, u32(request), Buffer.from(keys)),
        call: (request, what, head, body) =>
          this.#sendCall(id, { request, what, head: Buffer.from(head), body: Buffer.from(body, "latin1") }),
        callOff: (request) => this.#send(FRAME.CALL_OFF, id, u32(request)),
        stuck: (fault) => this.#send(FRAME.STUCK, id, Buffer.from(JSON.stringify(fault))),
        made: (each) => void (made.instance = each),
        inspected: (session, text) => this.#send(FRAME.INSPECTED, id, u32(session), text),
      });
      this.#send(FRAME.LOADED, id, ...withSaid(instance.started, instance.said));
      return instance;
    } catch (error) {
      this.#slots.delete(id);
      const fault: Fault = { code: "FUNCTION_LOAD_FAILED", message: error instanceof Error ? error.message : String(error) };
      this.#send(FRAME.FAILED, id, ...withSaid(fault, error instanceof InitFailed ? error.said : ""));
      return undefined;
    } finally {
      this.#unanswered--;
    }
  }

  async #run(id: number, slot: Slot, body: Buffer): Promise<void> {
    // Without an instance it was cut off or unloaded meanwhile, or the gateway was told with FAILED: it takes its batches back.
    const instance = this.#slots.get(id) === slot ? await slot.ready : undefined;
    if (instance !== undefined) {
      const limits = { timeoutMs: body.readUInt32BE(4), wallMs: body.readUInt32BE(8), cpuMs: body.readUInt32BE(12) };
      this.#answer(id, body.subarray(0, 4), await instance.run(body.toString("latin1", 16), limits));
    }
    this.#unanswered--;
  }

  #answer(id: number, batch: Uint8Array, outcome: RunOutcome): void {
    const results = Buffer.from(outcome.results, "latin1");
    if (outcome.done) {
      const usedUs = Math.min(2 ** 32 - 1, Math.round(outcome.computedMs * 1_000));
      this.#send(FRAME.RESULT, id, batch, u32(usedUs, Math.ceil((outcome.heapBytes ?? 0) / 1_024)), results);
      return;
    }
    const fault = Buffer.from(JSON.stringify(outcome.fault));
    const finished = Buffer.from([outcome.finished >> 8, outcome.finished & 255]);
    this.#slots.delete(id);
    this.#send(FRAME.CUT, id, batch, u32(fault.length), fault, finished, u32(outcome.elapsedMs), results);
  }
}

function withSaid(value: object, said: string): readonly Uint8Array[] {
  const json = Buffer.from(JSON.stringify(value));
  return [u32(json.length), json, Buffer.from(said, "latin1")];
}

/** `process.exit` would wait for a thread that cannot be stopped. */
function endProcess(reason: string): void {
  process.stderr.write(`${reason}\n`, () => process.kill(process.pid, "SIGKILL"));
}
