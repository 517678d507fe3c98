/** Starts of isolates of a function, and what they took altogether, in milliseconds by phase. */
export interface StartStats {
  readonly count: number;
  /** Those that found an isolate ready. */
  readonly pooled: number;
  /** Those whose code had been compiled before. */
  readonly cached: number;
  /** The isolate with its context and what surrounds the function in it. */
  readonly isolateMs: number;
  readonly compileMs: number;
  /** The top level of the function's code. */
  readonly initMs: number;
  /** Isolates that have handled their first batch. */
  readonly firstCalls: number;
  /** What they computed for it. */
  readonly firstCallMs: number;
}
