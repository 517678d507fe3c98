import type { DownTopic, UpTopic } from "../core/link.ts";

/** The control plane's end of the link, whatever broker carries it. Everything on it is safe to lose: the other side asks again. */
export interface Link extends AsyncDisposable {
  /** `mqtt://HOST:PORT` that gateways connect to. */
  readonly address: string;
  /** One handler for each topic; it must not block and must not throw. */
  on(name: UpTopic, handler: (gateway: string, payload: Uint8Array) => void): void;
  /** Called when a gateway's connection begins and ends. */
  onPresence(handler: (gateway: string, connected: boolean) => void): void;
  /** Returns at once; a failure is logged. */
  publish(gateway: string, name: DownTopic, payload: Uint8Array): void;
  close(): Promise<void>;
}
