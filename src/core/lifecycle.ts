/** The one shape of everything long-lived. Creation starts it; disposing stops it, once, however often it is told. */
export interface Service extends AsyncDisposable {
  /** Resolves when it has stopped as told, rejects when it could not go on. */
  readonly stopped: Promise<void>;
}

/** Makes a stop that runs once: later calls get the promise of the first. */
export function once(stop: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => (running ??= stop());
}

/** Resolves when the signal aborts; at once if it already has. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
