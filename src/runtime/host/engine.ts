import type { Fault, LoadSpec, StartTimes } from "./frames.ts";

/** What runs functions. isolated-vm today; the seam is narrow so that another engine can take its place. */
export interface Engine {
  /**
   * Makes an isolate and runs the function's code in it once, then its `init`.
   * @throws Error when the code does not load; its message is for the author. InitFailed when that was `init`
   */
  create(spec: LoadSpec, ways: InstanceWays): Promise<Instance>;
}

/** How code in an isolate reaches out. */
export interface InstanceWays {
  loadState(request: number, keys: string): void;
  /** `head` is what the guest says is JSON; `body` has one character for each byte. */
  call(request: number, what: number, head: string, body: string): void;
  callOff(request: number): void;
  /** The code computes for longer than it may and cannot be stopped; only the end of the process does that. */
  readonly stuck: (fault: Fault) => void;
  /** The instance is there, and its `init` is about to run: what that asks for is to be answered. */
  made?(instance: Instance): void;
  /** What the isolate says to its debugger, in UTF-8. */
  inspected?(session: number, text: Uint8Array): void;
}

/** The inspector of an isolate. Sessions are numbers that only grow; what comes for one that is over is left out. */
export interface InstanceInspector {
  attach(session: number): void;
  detach(session: number): void;
  dispatch(session: number, text: string): void;
  /** The debugger has taken so many bytes of what it was told. */
  taken(session: number, bytes: number): void;
  dispose(): void;
}

/** One isolate running one version of one function. Handles one batch at a time. */
export interface Instance {
  readonly started: StartTimes;
  /** The result of `init`, laid out as that of a message; empty when the function has none. */
  readonly said: string;
  /** Only in a host for inspection. */
  readonly inspector?: InstanceInspector | undefined;
  /**
   * `batch` and the results are byte strings, laid out as in frames.ts. Computing for longer than `timeoutMs` by the clock on the wall without a pause ends
   * it, and is blamed on it when it has computed for `cpuMs`, half of that unless said.
   */
  run(batch: string, limits: { timeoutMs: number; wallMs: number; cpuMs?: number }): Promise<RunOutcome>;
  stateLoaded(request: number, entries: string): void;
  /** The answer to a call. */
  answered(request: number, head: string, body: string): void;
  dispose(): void;
}

/** `heapBytes` where that was looked at. A batch that was cut off carries what was finished before; its instance is of no further use. */
export type RunOutcome =
  | { readonly done: true; readonly results: string; readonly computedMs: number; readonly heapBytes?: number }
  | { readonly done: false; readonly fault: Fault; readonly finished: number; readonly elapsedMs: number; readonly results: string };
