export interface GuestTrigger {
  /** What `event.type` says. */
  readonly kind: string;
  /** The named wildcards: name and level. */
  readonly names: readonly (readonly [string, number])[];
  /** Somebody waits for what the handler returns. */
  readonly answers?: boolean;
}

/** As W3C Trace Context writes it, with the handling of a message as the parent. */
export interface GuestTrace {
  readonly traceparent: string;
  readonly tracestate?: string;
}

/** What the isolate is made with. */
export interface GuestOptions {
  readonly name: string;
  readonly version: number;
  readonly gateway: string;
  readonly env: Readonly<Record<string, string>>;
  readonly triggers: readonly GuestTrigger[];
  readonly publish: readonly string[];
  readonly emit: readonly string[];
  /** Whether messages go to `batch` of the function, and not one by one to its handler. */
  readonly batch: boolean;
  readonly strict: boolean;
  readonly wallMs: number;
  readonly outputBytes: number;
  readonly stateValueBytes: number;
  /** Of one body of a fetch. */
  readonly fetchBytes: number;
  /** Names of those that it may read. */
  readonly secrets: readonly string[];
  /** Whether it may keep what all keys see: it has one isolate at a time. */
  readonly shared: boolean;
  /** Of what it keeps; 1 unless its author has changed what that looks like. */
  readonly stateVersion: number;
}

/** The ways out of the isolate; each returns at once. */
export interface GuestHost {
  /** Asks for everything kept under these keys; answered through `GuestRuntime.stateLoaded`. `keys` is JSON. */
  loadState(request: number, keys: string): void;
  /** Asks for one call of `GuestRuntime.wake`, in so many milliseconds, in the place of what was asked for before. */
  wakeIn(ms: number): void;
  /** Asks the gateway for something, see guest-call-kinds.ts; answered through `GuestRuntime.answered`. `body` has one character for each byte. */
  call(request: number, what: number, head: string, body: string): void;
  /** What was asked for is of no use any more. */
  callOff(request: number): void;
}

export interface GuestRuntime {
  /** Begins to run the function's `init`; its result comes as that of a batch does. Absent when the function has none. */
  readonly init: (() => void) | undefined;
  /** Begins to handle a batch, message by message. */
  start(batch: string): void;
  /** The results of the batch that was started, once it is finished; undefined before. */
  take(): string | undefined;
  /** Resolves with the results of the batch that was started; empty when `salvage` has already taken them. */
  finish(): Promise<string>;
  stateLoaded(request: number, entries: string): void;
  /** `head` is JSON; `body` has one character for each byte. */
  answered(request: number, head: string, body: string): void;
  /** A timer may be due; `elapsedMs` have passed since `wakeIn`. */
  wake(elapsedMs: number): void;
  /** For a batch that was cut off: the results so far. */
  salvage(): string;
}
