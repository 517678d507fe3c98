import type ivm from "isolated-vm";
import type { InstanceInspector } from "./engine.ts";
import { INSPECT_LIMITS } from "./frames.ts";

/** Puts an isolate back to what it was before a debugger came, and lets it go on if it is held. */
const LEAVING = ["Debugger.disable", "Profiler.disable", "HeapProfiler.disable", "Runtime.disable", "Console.disable"];
/** Ids of requests of our own, which no debugger gets to by counting from one. */
const OWN_ID = 2 ** 30;

type Session = Pick<ivm.InspectorSession, "dispatchProtocolMessage" | "dispose" | "onNotification" | "onResponse">;

/**
 * The inspector of one isolate, and the debugger that is attached to it if one is. There is a single session for the life of the isolate, because
 * another one cannot be made while code runs. Nothing here may wait for the isolate: while it is held, only its debugger lets it go on.
 */
export class Inspector implements InstanceInspector {
  readonly #session: Session;
  readonly #said: (session: number, text: Uint8Array) => void;
  /** What the isolate has said and the debugger has no room for. A host that gets too large with it is ended like any other. */
  readonly #unsent: Uint8Array[] = [];
  /** What came from a debugger while the one before it was leaving. */
  #early: string[] = [];
  /** 0 when none is attached. */
  #attached = 0;
  /** Bytes on their way to the debugger. */
  #untaken = 0;
  /** Requests that are to be answered before the next debugger is heard. */
  #leaving = 0;
  #disposed = false;

  constructor(session: Session, said: (session: number, text: Uint8Array) => void) {
    this.#session = session;
    this.#said = said;
    session.onNotification = (text) => this.#tell(text);
    session.onResponse = (id, text) => {
      if (id >= OWN_ID) this.#left();
      else this.#tell(text, id);
    };
  }

  attach(session: number): void {
    if (this.#attached !== 0) this.detach(this.#attached);
    this.#attached = session;
  }

  detach(session: number): void {
    if (session !== this.#attached || this.#disposed) return;
    this.#attached = 0;
    this.#untaken = 0;
    this.#unsent.length = 0;
    this.#early = [];
    for (const method of LEAVING) {
      this.#leaving++;
      this.#session.dispatchProtocolMessage(JSON.stringify({ id: OWN_ID + this.#leaving, method }));
    }
  }

  dispatch(session: number, text: string): void {
    // The library reads the first character without looking whether there is one.
    if (session !== this.#attached || this.#disposed || text === "") return;
    if (this.#leaving > 0) this.#early.push(text);
    else this.#session.dispatchProtocolMessage(text);
  }

  taken(session: number, bytes: number): void {
    if (session !== this.#attached) return;
    this.#untaken -= bytes;
    this.#flush();
  }

  /** The isolate is about to be disposed of, which would not come to an end with a session that holds it. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#session.dispose();
  }

  #left(): void {
    if (--this.#leaving > 0) return;
    for (const text of this.#early.splice(0)) this.dispatch(this.#attached, text);
  }

  #tell(text: string, id?: number): void {
    // What still comes for a debugger that is leaving is not for the next one.
    if (this.#attached === 0 || this.#leaving > 0) return;
    const bytes = Buffer.from(text);
    if (bytes.length <= INSPECT_LIMITS.messageBytes) this.#unsent.push(bytes);
    else if (id !== undefined)
      this.#unsent.push(Buffer.from(JSON.stringify({ id, error: { code: -32000, message: "The answer is too large" } })));
    this.#flush();
  }

  #flush(): void {
    while (this.#unsent.length > 0 && this.#untaken < INSPECT_LIMITS.windowBytes) {
      const bytes = this.#unsent.shift();
      if (bytes === undefined) return;
      this.#untaken += bytes.length;
      this.#said(this.#attached, bytes);
    }
  }
}
