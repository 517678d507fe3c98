type Listener = ((event: Event) => void) | { handleEvent(event: Event): void };

interface Registered {
  readonly listener: Listener;
  readonly once: boolean;
}

export interface ListenerOptions {
  readonly once?: boolean;
  readonly signal?: { readonly aborted: boolean; addEventListener(type: string, listener: () => void): void };
}

/** `Event` of the DOM standard, without a tree to bubble in. */
export class Event {
  readonly type: string;
  readonly cancelable: boolean;
  target: EventTarget | null = null;
  #prevented = false;
  #stopped = false;

  constructor(type: string, { cancelable = false }: { readonly cancelable?: boolean } = {}) {
    this.type = type;
    this.cancelable = cancelable;
  }

  get currentTarget(): EventTarget | null {
    return this.target;
  }
  get defaultPrevented(): boolean {
    return this.#prevented;
  }
  get stopped(): boolean {
    return this.#stopped;
  }
  preventDefault(): void {
    if (this.cancelable) this.#prevented = true;
  }
  stopPropagation(): void {
    // There is nothing to propagate to.
  }
  stopImmediatePropagation(): void {
    this.#stopped = true;
  }
}

/** `EventTarget` of the DOM standard. What a listener throws is logged, and the next one is called. */
export class EventTarget {
  readonly #listeners = new Map<string, Registered[]>();

  addEventListener(type: string, listener: Listener | null, options: ListenerOptions | boolean = {}): void {
    if (listener === null) return;
    const { once = false, signal } = typeof options === "boolean" ? {} : options;
    const known = this.#listeners.get(type) ?? [];
    if (signal?.aborted === true || known.some((one) => one.listener === listener)) return;
    this.#listeners.set(type, [...known, { listener, once }]);
    signal?.addEventListener("abort", () => this.removeEventListener(type, listener));
  }

  removeEventListener(type: string, listener: Listener | null): void {
    const left = (this.#listeners.get(type) ?? []).filter((one) => one.listener !== listener);
    if (left.length === 0) this.#listeners.delete(type);
    else this.#listeners.set(type, left);
  }

  dispatchEvent(event: Event): boolean {
    event.target = this;
    for (const { listener, once } of this.#listeners.get(event.type) ?? []) {
      const gone = this.#listeners.get(event.type)?.every((one) => one.listener !== listener) ?? true;
      if (gone || event.stopped) continue;
      if (once) this.removeEventListener(event.type, listener);
      call(listener, event);
    }
    return !event.defaultPrevented;
  }
}

function call(listener: Listener, event: Event): void {
  try {
    if (typeof listener === "function") listener.call(event.target, event);
    else listener.handleEvent(event);
  } catch (error) {
    console.error(error);
  }
}
