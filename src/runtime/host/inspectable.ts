import ivm from "isolated-vm";
import { type Blank, BlankMaker } from "./blank.ts";
import type { Taken } from "./blank-pool.ts";
import type { InstanceInspector } from "./engine.ts";
import { Inspector } from "./inspector.ts";

/** Isolates with an inspector. They are made when they are asked for: one for each lane of the one function that is inspected. */
export class Inspectable implements Disposable {
  readonly #maker: BlankMaker;
  /** None is made ahead. */
  readonly size = 0;

  constructor(stuck: (reason: string) => void) {
    this.#maker = new BlankMaker(stuck, { inspector: true });
  }

  take(memoryMb: number): Taken {
    return { blank: this.#maker.now(memoryMb), pooled: false };
  }

  /** To be called before code of a user runs in it. */
  inspect({ isolate, context }: Blank, said: (session: number, text: Uint8Array) => void): InstanceInspector {
    let session: ivm.InspectorSession | undefined;
    // V8 makes a session only on a thread that has entered the isolate, and ends the process anywhere else. This one has while it is called back.
    const connect = new ivm.Callback(() => void (session = isolate.createInspectorSession()));
    context.evalClosureSync("$0()", [connect]);
    if (session === undefined) throw new Error("the inspector has no session");
    return new Inspector(session, said);
  }

  [Symbol.dispose](): void {
    // It holds nothing.
  }
}
