/** What the client may answer to what it was sent with a packet id. */
type Step = "pubrec" | "pubcomp";

/**
 * Which answers of a client are due for messages of QoS 2 (MQTT 5, 4.3.3): PUBREC, and then PUBCOMP. To what it was sent with QoS 1 it answers with PUBACK.
 */
export class Answers {
  #steps: Map<number, Step> | undefined;

  /** A PUBLISH goes out. */
  sent(id: number, qos: number | undefined): void {
    if (qos === 2) (this.#steps ??= new Map()).set(id, "pubrec");
  }

  /** A PUBREL goes out. */
  released(id: number): void {
    (this.#steps ??= new Map()).set(id, "pubcomp");
  }

  /** The message with this packet id is done with. */
  done(id: number): void {
    this.#steps?.delete(id);
  }

  /** Whether the answer belongs to a message with another QoS, or comes too soon. Of a packet id that is not open nothing is known. */
  isWrong(answer: string, id: number, isOpen: boolean): boolean {
    const step = this.#steps?.get(id);
    if (answer === "puback") return step !== undefined;
    if (step === undefined) return isOpen;
    // A PUBREC may come again until the PUBCOMP.
    return answer === "pubcomp" && step === "pubrec";
  }
}
