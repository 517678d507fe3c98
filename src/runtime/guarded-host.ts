import { MillraceError } from "../core/errors.ts";
import type { GuestLog } from "./effects.ts";
import { FairQueue, type FairTurns, type Gate } from "./fair-queue.ts";
import { parseFault, parseKeys, parseStart, parseStartTimes } from "./host-answers.ts";
import { HostProcess } from "./host-process.ts";
import { HostRoom, type Tenant } from "./host-room.ts";
import { type Fault, FRAME, INSPECT_LIMITS, type LoadSpec, type StartTimes, u32 } from "./host/frames.ts";
import type { HostGroup } from "./host-groups.ts";
import { HostWatch, LOAD_MS_MAX, tooLarge } from "./host-watch.ts";
import { InspectorPort } from "./inspector-port.ts";
import { type AnswerCall, OpenCalls } from "./open-calls.ts";
import { Owed } from "./owed.ts";
import { refuseCalls } from "./outside.ts";
import { residentBytes, stepBack } from "./proc.ts";
import type { Trial } from "./trial.ts";
import { Turns } from "./turns.ts";

/** How far below the gateway a host is in the eyes of the scheduler. */
const STEP_BACK = { start: 5, doubtful: 10 } as const;
/** So many suspects are tried alone at once; more of them first go where the innocent ones are found quickly. */
const SUSPECTS_ALONE_MAX = 2;

/** No instance has this number. */
const NOBODY = -1;

/** What the death of a host means for an instance that was in it. */
export interface Loss {
  readonly fault: Fault;
  /** `certain`: it was the doing of this instance. `possible`: it had something under way, and so had others. */
  readonly guilt: "certain" | "possible" | "none";
  /** How what was under way is to be tried. */
  readonly trial: Trial;
}

export interface InstanceEvents {
  /** `usedMs`: for how long it has computed. */
  result(batch: number, results: Buffer, usedMs: number): void;
  /** So large is the heap of the instance. */
  heap?(bytes: number): void;
  /** The batch was stopped and the instance is gone; the first `finished` items have results. */
  cut(batch: number, cut: { fault: Fault; finished: number; elapsedMs: number; results: Buffer }): void;
  /** What `init` of the instance has logged, also when it failed. */
  said?(logs: readonly GuestLog[]): void;
  stateGet(request: number, keys: readonly string[]): void;
  /** What the isolate asks the gateway for; refused without this. */
  readonly call?: AnswerCall;
  /** There may be room in the host for what `ask` was refused. */
  turn?(): void;
  /** The host needs room for another one: unloads the instance if it has nothing to do and, unless `evenKept`, is not to be kept warm. */
  giveUp?(evenKept: boolean): void;
  /** The host died with the instance in it. Also called for one that was being made. */
  lost(loss: Loss): void;
}

/** An isolate in some host, as the gateway process sees it. */
export interface InstanceHandle {
  readonly started: StartTimes;
  /** Only in a host for inspection. */
  readonly inspector?: InspectorPort | undefined;
  /** How many milliseconds of the host its function may take now, when it wants `wantedMs`; 0 when `turn` follows. */
  ask(wantedMs: number): number;
  /** Without `expectedMs` it is not known how long it will compute. */
  run(batch: number, limits: RunLimits, items: readonly Uint8Array[]): void;
  stateLoaded(request: number, entries: string): void;
  unload(): void;
}

interface RunLimits {
  /** By the clock on the wall, without a pause. */
  readonly timeoutMs: number;
  readonly wallMs: number;
  /** What is stopped then is blamed when it has computed for so long. */
  readonly cpuMs: number;
  readonly expectedMs?: number;
}

interface Loaded extends Owed, Omit<Tenant, "deadlines"> {
  readonly turns: FairTurns;
  readonly events: InstanceEvents;
  readonly calls: OpenCalls;
  readonly loading: PromiseWithResolvers<StartTimes>;
  readonly inspector: InspectorPort | undefined;
  usedAt: number;
}

interface GuardedHostOptions {
  /** Before it is started. */
  readonly delayMs: number;
  /** Bytes of memory at which it is killed. */
  readonly memoryMax: number;
  /** The control group that the kernel holds it to that in, where there are such groups. */
  readonly group: HostGroup | undefined;
  /** Closed while functions have made more than can be written. */
  readonly gate: Gate;
  /** An instance that had nothing to do has made room for others. */
  readonly evicted: () => void;
  /** Its isolates have an inspector, and take as long as they like. */
  readonly inspector?: boolean;
  /** The process is gone; called before its instances are told. */
  died(host: GuardedHost, reason: string): void;
  /** The last instance is gone. */
  empty(host: GuardedHost): void;
}

/** A host process with its instances, and the watch over it. When it dies, it tells them what that means for them. */
export class GuardedHost {
  /** Rejects when it does not start. */
  readonly ready: Promise<HostProcess>;
  readonly #options: GuardedHostOptions;
  readonly #instances = new Map<number, Loaded>();
  readonly #watch: HostWatch;
  readonly #room: HostRoom;
  readonly #queue: FairQueue;
  #process: HostProcess | undefined;
  /** Why it was killed, and because of whom, if that is known. */
  #sentence: { readonly fault: Fault; readonly culprit?: number } | undefined;
  /** It holds nothing but instances of one function that nobody trusts with others. */
  #isOwn = false;
  /** It holds suspects: one at a time is made, so that few of them are suspects again when it dies. */
  #making: Turns | undefined;
  #isGone = false;

  constructor(options: GuardedHostOptions) {
    this.#options = options;
    this.#queue = new FairQueue(options.gate);
    this.#watch = new HostWatch(this.#instances, {
      memoryMax: options.memoryMax,
      ping: () => this.#process?.send(FRAME.PING, 0),
      kill: (fault) => this.#kill({ fault }),
      seen: (bytes) => this.#room.seen(bytes),
    });
    const { memoryMax, evicted } = options;
    this.#room = new HostRoom({ memoryMax, evicted, bytes: () => residentBytes(this.#watch.pid) ?? 0 });
    this.ready = this.#start(options);
    this.ready.catch(() => undefined); // Whoever loads an instance sees it, and `died` was called.
  }

  get size(): number {
    return this.#instances.size;
  }

  /** Whether an instance has to leave before another one can come. */
  get isFull(): boolean {
    return this.#room.isFull;
  }

  /** Whoever waits for the gate goes on. */
  serve(): void {
    this.#queue.serve();
  }

  /** Holds from now on only what nobody trusts. */
  isolate(kind: "own" | "probation" | "suspects"): void {
    this.#isOwn = kind === "own";
    if (kind === "suspects") {
      this.#queue.oneByOne();
      this.#making = new Turns();
    }
    this.#options.group?.stepBack();
    void this.ready.then(({ pid }) => stepBack(pid, STEP_BACK.doubtful)).catch(() => undefined); // See the constructor.
  }

  async #start({ delayMs, group }: GuardedHostOptions): Promise<HostProcess> {
    if (delayMs > 0) await new Promise<void>((resolve) => setTimeout(resolve, delayMs).unref());
    const started = await HostProcess.start(
      {
        frame: (kind, id, body) => this.#receive(kind, id, body),
        died: (reason) => this.#died(reason),
        spawned: (pid) => {
          // Before it takes anything: what it has by then stays with the gateway's group.
          group?.enter(pid);
          stepBack(pid, STEP_BACK.start);
        },
      },
      { inspector: this.#options.inspector === true },
    );
    stepBack(started.pid, STEP_BACK.start); // Its threads, too.
    this.#process = started;
    this.#watch.pid = started.pid;
    this.#room.open();
    return started;
  }

  /**
   * Waits for room and, among suspects, for its turn. Undefined when the host is gone before: another one may be better.
   * @throws MillraceError FUNCTION_LOAD_FAILED, HOST_CRASHED
   */
  async load(id: number, spec: LoadSpec, events: InstanceEvents): Promise<InstanceHandle | undefined> {
    const instance = this.#instance(id, spec.name, events);
    this.#instances.set(id, instance);
    let handle: InstanceHandle | undefined;
    await this.#turn();
    try {
      handle = this.#isGone ? undefined : await this.#make(id, spec, instance);
    } finally {
      this.#making?.release();
      if (handle === undefined) this.#drop(id);
    }
    return handle;
  }

  async #turn(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    if (this.#making?.take(resolve) !== false) return;
    await promise;
  }

  async #make(id: number, spec: LoadSpec, instance: Loaded): Promise<InstanceHandle | undefined> {
    const host = await this.ready;
    const entering = this.#room.enter(instance);
    if (entering !== undefined && !(await entering)) return undefined;
    this.#watch.begin();
    instance.load(performance.now() + LOAD_MS_MAX);
    host.send(FRAME.LOAD, id, Buffer.from(JSON.stringify(spec)));
    return this.#handle(id, instance, { host, started: await instance.loading.promise });
  }

  #instance(id: number, name: string, events: InstanceEvents): Loaded {
    const turns = this.#queue.join(name, { turn: () => events.turn?.() });
    const loading = Promise.withResolvers<StartTimes>();
    const giveUp = (evenKept: boolean): boolean => {
      events.giveUp?.(evenKept);
      return !this.#instances.has(id);
    };
    const calls = new OpenCalls({
      answer: events.call ?? refuseCalls,
      send: (request, head, body) => this.#process?.send(FRAME.ANSWER, id, u32(request, head.length), head, body),
    });
    const send = (kind: number, ...parts: readonly Uint8Array[]): number => this.#process?.send(kind, id, ...parts) ?? 0;
    const inspector = this.#options.inspector === true ? new InspectorPort(send) : undefined;
    return Object.assign(new Owed(LOAD_MS_MAX / 2), { events, calls, turns, loading, giveUp, inspector, usedAt: 0 });
  }

  #handle(id: number, instance: Loaded, { host, started }: { host: HostProcess; started: StartTimes }): InstanceHandle {
    return {
      started,
      inspector: instance.inspector,
      ask: (wantedMs) => instance.turns.ask(wantedMs),
      run: (batch, given, items) => {
        const limits =
          instance.inspector === undefined ? given : { ...given, timeoutMs: INSPECT_LIMITS.batchMs, wallMs: INSPECT_LIMITS.batchMs };
        instance.turns.begin(limits.expectedMs ?? 0);
        this.#watch.begin();
        instance.patienceMs = limits.timeoutMs;
        instance.usedAt = performance.now();
        const from = Math.max(instance.usedAt, instance.deadlines.at(-1) ?? 0);
        instance.run(batch, from + HostWatch.answerMs(limits));
        host.send(FRAME.RUN, id, u32(batch, limits.timeoutMs, limits.wallMs, limits.cpuMs), ...items);
      },
      stateLoaded: (request, entries) => host.send(FRAME.STATE, id, u32(request), Buffer.from(entries)),
      unload: () => {
        if (this.#instances.get(id) !== instance) return;
        host.send(FRAME.UNLOAD, id);
        this.#drop(id);
      },
    };
  }

  #drop(id: number): void {
    const instance = this.#instances.get(id);
    instance?.turns.part();
    instance?.calls.end();
    instance?.inspector?.close("its isolate is gone");
    if (instance !== undefined) this.#room.leave(instance);
    queueMicrotask(() => this.#queue.serve()); // Not at once: who drops it may be in the middle of something.
    if (this.#instances.delete(id) && this.#instances.size === 0) this.#options.empty(this);
  }

  /** @throws RangeError, SyntaxError for what a host has no reason to say */
  #receive(kind: number, id: number, body: Buffer): void {
    this.#watch.heard();
    const instance = this.#instances.get(id);
    if (instance === undefined) return;
    if (kind === FRAME.RESULT) {
      instance.answered(body.readUInt32BE(0));
      instance.calls.end();
      const usedMs = body.readUInt32BE(4) / 1_000;
      instance.turns.end(usedMs);
      const heapKb = body.readUInt32BE(8);
      if (heapKb > 0) instance.events.heap?.(heapKb * 1_024);
      instance.events.result(body.readUInt32BE(0), body.subarray(12), usedMs);
      this.#queue.serve();
    } else if (kind === FRAME.STATE_GET) {
      instance.events.stateGet(body.readUInt32BE(0), parseKeys(body.toString("utf8", 4)));
    } else if (kind === FRAME.CALL) {
      instance.calls.take(body);
    } else if (kind === FRAME.CALL_OFF) {
      instance.calls.callOff(body.readUInt32BE(0));
    } else if (kind === FRAME.LOADED) {
      instance.loaded();
      instance.calls.end();
      this.#room.made();
      const { json, logs } = parseStart(body);
      instance.events.said?.(logs);
      instance.loading.resolve(parseStartTimes(json));
    } else if (kind === FRAME.FAILED) {
      instance.loaded();
      this.#room.made();
      const { json, logs } = parseStart(body);
      instance.events.said?.(logs);
      instance.loading.reject(new MillraceError("FUNCTION_LOAD_FAILED", parseFault(json).message));
    } else if (kind === FRAME.CUT) {
      instance.answered(body.readUInt32BE(0));
      this.#drop(id);
      const end = 8 + body.readUInt32BE(4);
      const fault = parseFault(body.toString("utf8", 8, end));
      const cut = { fault, finished: body.readUInt16BE(end), elapsedMs: body.readUInt32BE(end + 2), results: body.subarray(end + 6) };
      instance.events.cut(body.readUInt32BE(0), cut);
    } else if (kind === FRAME.STUCK) {
      this.#kill({ fault: parseFault(body.toString()), culprit: id });
    } else if (kind === FRAME.INSPECTED) {
      if (instance.inspector === undefined) throw new RangeError("a host without an inspector speaks to a debugger");
      instance.inspector.said(body);
    }
  }

  /** Ends it with whatever is under way, which is nobody's fault. */
  retire(reason: string): void {
    this.#kill({ fault: { code: "HOST_CRASHED", message: reason }, culprit: NOBODY });
  }

  #kill(sentence: { fault: Fault; culprit?: number }): void {
    this.#sentence ??= sentence;
    this.#process?.kill(sentence.fault.message);
  }

  #died(reason: string): void {
    this.#isGone = true;
    this.#watch.stop();
    this.#queue.close();
    for (const { calls } of this.#instances.values()) calls.end();
    this.#sentence ??= this.#verdictOfKernel();
    this.#options.group?.remove();
    const losses = this.#losses(reason);
    const outside = this.#room.close();
    this.#instances.clear();
    this.#options.died(this, reason);
    for (const [instance, loss] of losses) {
      if (outside.has(instance)) continue;
      instance.inspector?.close("its host process is gone");
      instance.loading.promise.catch(() => undefined); // Rejected only for the sake of a load that is waiting.
      const { code, message } = loss.fault;
      instance.loading.reject(new MillraceError("HOST_CRASHED", code === "HOST_CRASHED" ? message : `${code}: ${message}`));
      instance.events.lost(loss);
    }
  }

  #verdictOfKernel(): { readonly fault: Fault } | undefined {
    const end = this.#options.group?.end;
    if (end === undefined) return undefined;
    if (end === "limit") return { fault: tooLarge(this.#options.memoryMax, "needed more memory and was ended by the kernel") };
    return {
      fault: { code: "HOST_CRASHED", message: "the kernel ended the host process, because the machine or the service had no memory left" },
    };
  }

  /** Being the only one at work proves nothing where others have been: what they leave behind may end or block a host later. */
  #losses(reason: string): (readonly [Loaded, Loss])[] {
    const crash: Fault = { code: "HOST_CRASHED", message: `the host process died: ${reason}` };
    const { fault, culprit } = this.#sentence ?? { fault: crash, culprit: undefined };
    const isKnown = this.#isOwn && this.#instances.size === 1;
    const atWork = [...this.#instances.values()].filter(({ deadlines }) => deadlines.length > 0);
    const trial = this.#making !== undefined || atWork.length <= SUSPECTS_ALONE_MAX ? "alone" : "together";
    return [...this.#instances].map(([id, instance]) => {
      if (!atWork.includes(instance) || (culprit !== undefined && culprit !== id))
        return [instance, { fault, guilt: "none", trial: "none" }];
      const isCertain = isKnown || culprit === id;
      return [instance, { fault, guilt: isCertain ? "certain" : "possible", trial: isCertain ? "alone" : trial }];
    });
  }

  async close(): Promise<void> {
    for (const { calls } of this.#instances.values()) calls.end();
    this.#isGone = true;
    this.#watch.stop();
    this.#queue.close();
    this.#room.close();
    await this.ready.then((host) => host.close()).catch(() => undefined); // It never started.
    this.#options.group?.remove();
  }
}
