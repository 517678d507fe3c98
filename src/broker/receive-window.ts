/**
 * The messages of QoS 2 that a version 5 client has sent on one connection and not released. As many as the Receive Maximum says may be open; one more
 * is the client's fault [MQTT-3.3.4-7]. It counts from its PUBLISH to its PUBREL, or to a PUBREC that refuses it (MQTT 5, 4.9).
 */
export class ReceiveWindow {
  readonly #max: number;
  #open: Set<number> | undefined;

  constructor(max: number) {
    this.#max = max;
  }

  /** False when there are too many. One that is sent again counts once. */
  take(id: number): boolean {
    this.#open ??= new Set();
    return this.#open.add(id).size <= this.#max;
  }

  release(id: number): void {
    this.#open?.delete(id);
  }
}
