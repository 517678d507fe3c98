import { describe, expect, it } from "vitest";
import { FRAME, INSPECT_LIMITS, u32 } from "../../../src/runtime/host/frames.ts";
import { Inspector } from "../../../src/runtime/host/inspector.ts";
import { InspectorPort } from "../../../src/runtime/inspector-port.ts";

/** A session of V8 that answers when a test says so. */
class Session {
  readonly asked: { id: number; method: string }[] = [];
  onNotification: (text: string) => void = () => undefined;
  onResponse: (id: number, text: string) => void = () => undefined;
  disposals = 0;

  dispatchProtocolMessage(text: string): void {
    this.asked.push(JSON.parse(text) as { id: number; method: string });
  }

  /** Answers everything that was asked so far. */
  answer(): void {
    for (const { id } of this.asked.splice(0)) this.onResponse(id, JSON.stringify({ id, result: {} }));
  }

  dispose(): void {
    this.disposals++;
  }
}

function inspected(): { session: Session; inspector: Inspector; said: { session: number; text: string }[] } {
  const session = new Session();
  const said: { session: number; text: string }[] = [];
  const inspector = new Inspector(session, (to, text) => said.push({ session: to, text: Buffer.from(text).toString() }));
  return { session, inspector, said };
}

function opened(waiting = 0): { port: InspectorPort; sent: number[] } {
  const sent: number[] = [];
  const port = new InspectorPort((kind) => {
    sent.push(kind);
    return waiting;
  });
  return { port, sent };
}

const ask = (id: number, method = "Debugger.enable"): string => JSON.stringify({ id, method });

describe("the inspector of an isolate", () => {
  it("passes on what its debugger says and what the isolate answers", () => {
    const { session, inspector, said } = inspected();
    session.onNotification("{}"); // Nobody is there.
    inspector.attach(1);
    inspector.dispatch(1, ask(7));
    inspector.dispatch(2, ask(8));
    inspector.dispatch(1, "");
    session.answer();
    expect(said).toEqual([{ session: 1, text: '{"id":7,"result":{}}' }]);
  });

  it("hears the next debugger when the one before has left nothing behind", () => {
    const { session, inspector, said } = inspected();
    inspector.attach(1);
    inspector.dispatch(1, ask(1));
    inspector.attach(2);
    inspector.dispatch(2, ask(1, "Runtime.enable"));
    expect(session.asked.map(({ method }) => method)).toContain("Debugger.disable");
    expect(session.asked.map(({ method }) => method)).not.toContain("Runtime.enable");
    session.onNotification('{"method":"late"}');
    session.answer();
    expect(said).toEqual([]);
    expect(session.asked).toEqual([{ id: 1, method: "Runtime.enable" }]);
    session.answer();
    expect(said).toEqual([{ session: 2, text: '{"id":1,"result":{}}' }]);
  });

  it("says no more than its debugger takes", () => {
    const { session, inspector, said } = inspected();
    inspector.attach(1);
    const chunk = "x".repeat(INSPECT_LIMITS.windowBytes / 4);
    for (let n = 0; n < 10; n++) session.onNotification(chunk);
    expect(said).toHaveLength(4);
    inspector.taken(2, chunk.length);
    expect(said).toHaveLength(4);
    inspector.taken(1, chunk.length);
    expect(said).toHaveLength(5);
    inspector.detach(1);
    session.answer();
    inspector.attach(2);
    session.onNotification("{}");
    expect(said.slice(5)).toEqual([{ session: 2, text: "{}" }]);
  });

  it("answers what is too large with an error", () => {
    const { session, inspector, said } = inspected();
    inspector.attach(1);
    session.onResponse(3, "x".repeat(INSPECT_LIMITS.messageBytes + 1));
    session.onNotification("x".repeat(INSPECT_LIMITS.messageBytes + 1));
    expect(said.map(({ text }) => JSON.parse(text) as unknown)).toEqual([
      { id: 3, error: { code: -32000, message: "The answer is too large" } },
    ]);
  });

  it("is silent when its isolate is gone", () => {
    const { session, inspector } = inspected();
    inspector.attach(1);
    inspector.dispose();
    inspector.dispose();
    inspector.dispatch(1, ask(1));
    inspector.detach(1);
    expect([session.disposals, session.asked]).toEqual([1, []]);
  });
});

describe("the gateway's end of it", () => {
  it("does not believe a host that says more than was taken", () => {
    const { port } = opened();
    const heard: number[] = [];
    port.attach({ message: (text) => heard.push(text.length), closed: () => undefined });
    const chunk = Buffer.concat([u32(1), Buffer.alloc(INSPECT_LIMITS.windowBytes)]);
    port.said(Buffer.concat([u32(9), Buffer.from("for nobody")]));
    port.said(chunk);
    expect(() => port.said(chunk)).toThrow(RangeError);
    expect(() => port.said(Buffer.alloc(INSPECT_LIMITS.messageBytes + 5))).toThrow(RangeError);
    expect(heard).toEqual([INSPECT_LIMITS.windowBytes]);
  });

  it("sends away a debugger that says more than the host takes, and is then deaf to it", () => {
    const { port, sent } = opened(2 ** 30);
    const reasons: string[] = [];
    const attachment = port.attach({ message: () => undefined, closed: (reason) => reasons.push(reason) });
    attachment?.send(Buffer.from("{}"));
    attachment?.send(Buffer.from("{}"));
    attachment?.taken(1);
    attachment?.detach();
    expect(reasons).toEqual(["it says more than the host process takes"]);
    expect(sent).toEqual([FRAME.ATTACH, FRAME.INSPECT, FRAME.DETACH]);
  });

  it("tells its debugger that the isolate is gone, and lets nobody in after that", () => {
    const { port, sent } = opened();
    const reasons: string[] = [];
    port.attach({ message: () => undefined, closed: (reason) => reasons.push(reason) });
    port.close("gone");
    expect([reasons, port.isClosed, port.attach({ message: () => undefined, closed: () => undefined })]).toEqual([
      ["gone"],
      true,
      undefined,
    ]);
    expect(sent).toEqual([FRAME.ATTACH]);
  });
});
