/** What has something to do at the end of a turn. */
export interface TurnTask {
  endTurn(): void;
}

/**
 * What is taken in from all connections in one turn: so many chunks of sockets, or as many KiB if they are larger. That takes some 40 ms; a turn in which
 * ten thousand clients have sent something would take most of a second, and so long subscribers, functions and timers would wait.
 */
const INTAKE_MAX = 1_024;

/**
 * One turn of the event loop, for all connections together. What they have to write goes out at its end, by one timer and not one for each. What arrives
 * beyond what a turn takes in waits for the next ones, in its order, so that what has been taken in is delivered meanwhile.
 */
export class Turn {
  #due: TurnTask[] = [];
  #waiting: (() => void)[] = [];
  #taken = 0;
  #isSet = false;
  readonly #end = (): void => this.#finish();

  /** Calls it once, when everything that this turn takes in has been dealt with. */
  atEnd(task: TurnTask): void {
    this.#due.push(task);
    this.#set();
  }

  /** Whether a chunk of so many bytes may be taken in, which counts it then. */
  takesIn(bytes: number): boolean {
    if (this.#taken >= INTAKE_MAX) return false;
    this.#taken += 1 + (bytes >> 10);
    this.#set();
    return true;
  }

  /** Calls it once, when there is a turn that takes in more. */
  wait(goOn: () => void): void {
    this.#waiting.push(goOn);
  }

  #set(): void {
    if (this.#isSet) return;
    this.#isSet = true;
    setImmediate(this.#end);
  }

  #finish(): void {
    this.#isSet = false;
    this.#taken = 0;
    const due = this.#due;
    this.#due = [];
    for (const task of due) task.endTurn();
    let count = 0;
    for (const goOn of this.#waiting) {
      if (this.#taken >= INTAKE_MAX) break;
      count++;
      goOn();
    }
    if (count > 0) this.#waiting = this.#waiting.slice(count);
  }
}
