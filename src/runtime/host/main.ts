/**
 * The host process: holds isolates and does what comes in over descriptor 3. It has no other descriptor that leads anywhere, no
 * environment, and Node's permission model keeps it from files, network, processes and threads.
 */
import { Socket } from "node:net";
import type { Instance, RunOutcome } from "./engine.ts";
import { InitFailed } from "./init-failed.ts";
import { type Fault, FRAME, FrameReader, type LoadSpec, u32, writeFrame } from "./frames.ts";
import { IsolatedVmEngine } from "./isolated-vm.ts";
import { Makings } from "./makings.ts";

/** One isolate and the batches that wait for it. */
interface Slot {
  readonly ready: Promise<Instance | undefined>;
  tail: Promise<void>;
}

const pipe = new Socket({ fd: 3, readable: true, writable: true });
const slots = new Map<number, Slot>();
/** Loads and batches that have come in and are not answered. */
let unanswered = 0;
const makings = new Makings();
const engine = new IsolatedVmEngine({
  quiet: () => unanswered === 0,
  // `process.exit` would wait for the thread that cannot be stopped.
  stuck: (reason) => void process.stderr.write(`${reason}\n`, () => process.kill(process.pid, "SIGKILL")),
});

function send(kind: number, instance: number, ...parts: readonly Uint8Array[]): void {
  writeFrame(pipe, { kind, instance }, parts);
}

function sendCall(id: number, { request, what, head, body }: { request: number; what: number; head: Buffer; body: Buffer }): void {
  send(FRAME.CALL, id, u32(request), Buffer.from([what & 255]), u32(head.length), head, body);
}

async function load(id: number, spec: LoadSpec): Promise<Instance | undefined> {
  unanswered++;
  try {
    await makings.turn();
    const instance = await engine.create(spec, {
      loadState: (request, keys) => send(FRAME.STATE_GET, id, u32(request), Buffer.from(keys)),
      call: (request, what, head, body) => sendCall(id, { request, what, head: Buffer.from(head), body: Buffer.from(body, "latin1") }),
      callOff: (request) => send(FRAME.CALL_OFF, id, u32(request)),
      stuck: (fault) => send(FRAME.STUCK, id, Buffer.from(JSON.stringify(fault))),
    });
    send(FRAME.LOADED, id, ...withSaid(instance.started, instance.said));
    return instance;
  } catch (error) {
    slots.delete(id);
    const fault: Fault = { code: "FUNCTION_LOAD_FAILED", message: error instanceof Error ? error.message : String(error) };
    send(FRAME.FAILED, id, ...withSaid(fault, error instanceof InitFailed ? error.said : ""));
    return undefined;
  } finally {
    unanswered--;
  }
}

function withSaid(value: object, said: string): readonly Uint8Array[] {
  const json = Buffer.from(JSON.stringify(value));
  return [u32(json.length), json, Buffer.from(said, "latin1")];
}

async function run(id: number, slot: Slot, body: Buffer): Promise<void> {
  // Without an instance it was cut off or unloaded meanwhile, or the gateway was told with FAILED: it takes its batches back.
  const instance = slots.get(id) === slot ? await slot.ready : undefined;
  if (instance !== undefined) {
    const limits = { timeoutMs: body.readUInt32BE(4), wallMs: body.readUInt32BE(8) };
    answer(id, body.subarray(0, 4), await instance.run(body.toString("latin1", 12), limits));
  }
  unanswered--;
}

function answer(id: number, batch: Uint8Array, outcome: RunOutcome): void {
  const results = Buffer.from(outcome.results, "latin1");
  if (outcome.done) {
    const usedUs = Math.min(2 ** 32 - 1, Math.round(outcome.computedMs * 1_000));
    send(FRAME.RESULT, id, batch, u32(usedUs, Math.ceil((outcome.heapBytes ?? 0) / 1_024)), results);
    return;
  }
  const fault = Buffer.from(JSON.stringify(outcome.fault));
  const finished = Buffer.from([outcome.finished >> 8, outcome.finished & 255]);
  slots.delete(id);
  send(FRAME.CUT, id, batch, u32(fault.length), fault, finished, u32(outcome.elapsedMs), results);
}

function receive(kind: number, id: number, body: Buffer): void {
  const slot = slots.get(id);
  if (kind === FRAME.PING) {
    send(FRAME.PONG, id);
  } else if (kind === FRAME.LOAD) {
    slots.set(id, { ready: load(id, JSON.parse(body.toString()) as LoadSpec), tail: Promise.resolve() });
  } else if (slot === undefined) {
    // It was cut off or unloaded while this frame was on its way.
  } else if (kind === FRAME.RUN) {
    unanswered++;
    slot.tail = slot.tail.then(() => run(id, slot, body));
  } else if (kind === FRAME.STATE) {
    void slot.ready.then((instance) => instance?.stateLoaded(body.readUInt32BE(0), body.toString("utf8", 4)));
  } else if (kind === FRAME.ANSWER) {
    const end = 8 + body.readUInt32BE(4);
    void slot.ready.then((instance) =>
      instance?.answered(body.readUInt32BE(0), body.toString("utf8", 8, end), body.toString("latin1", end)),
    );
  } else if (kind === FRAME.UNLOAD) {
    slots.delete(id);
    void slot.tail.then(async () => (await slot.ready)?.dispose());
  }
}

const reader = new FrameReader(receive);
pipe.on("data", (chunk: Buffer) => reader.push(chunk));
// Without its gateway a host has no purpose, and whatever it was doing will be done again.
pipe.on("close", () => process.exit(0));
pipe.on("error", () => process.exit(0));
send(FRAME.READY, 0);
