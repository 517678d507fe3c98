import type { GatewayStats } from "../../core/stats.ts";

const NOTES_MAX = 50;
const HISTORY_MAX = 60;

export type NoteLevel = "info" | "warn" | "error";

export interface Note {
  /** Milliseconds since the epoch. */
  readonly time: number;
  readonly level: NoteLevel;
  readonly text: string;
}

/** Everything that the panel shows, as it was last seen. */
export interface DevState {
  readonly startedAt: number;
  readonly now: number;
  readonly phase: "starting" | "running" | "stopping" | "stopped";
  readonly addresses: { readonly mqtt: string; readonly http: string; readonly control: string } | undefined;
  readonly data: string;
  readonly functionsDir: string;
  readonly watching: boolean;
  /** Undefined until the gateway has answered for the first time. */
  readonly gateway: GatewayStats | undefined;
  readonly gatewayAnswers: boolean;
  /** Events in the control plane's store. */
  readonly stored: number | undefined;
  readonly devices: number | undefined;
  /** Messages a second, the newest last, one value for each second. */
  readonly history: readonly number[];
  /** Functions whose files do not build, with the reason in one line. */
  readonly broken: ReadonlyMap<string, string>;
  readonly notes: readonly Note[];
}

/** Collects what happens. `onNote` is told each notable line as it comes. */
export class DevModel {
  #state: DevState;
  readonly #onNote: (note: Note) => void;

  constructor(initial: Pick<DevState, "startedAt" | "data" | "functionsDir" | "watching">, onNote: (note: Note) => void) {
    this.#onNote = onNote;
    this.#state = {
      ...initial,
      now: initial.startedAt,
      phase: "starting",
      addresses: undefined,
      gateway: undefined,
      gatewayAnswers: false,
      stored: undefined,
      devices: undefined,
      history: [],
      broken: new Map(),
      notes: [],
    };
  }

  get state(): DevState {
    return this.#state;
  }

  update(change: Partial<DevState>): void {
    this.#state = { ...this.#state, ...change };
  }

  note(level: NoteLevel, text: string, time: number = Date.now()): void {
    const note = { time, level, text };
    this.update({ notes: [...this.#state.notes, note].slice(-NOTES_MAX) });
    this.#onNote(note);
  }

  /** Remembers that the files of a function do not build, or with undefined that they do. */
  setBroken(name: string, reason: string | undefined): void {
    const broken = new Map(this.#state.broken);
    if (reason === undefined) broken.delete(name);
    else broken.set(name, reason);
    this.update({ broken });
  }

  addRate(perSecond: number): void {
    this.update({ history: [...this.#state.history, perSecond].slice(-HISTORY_MAX) });
  }
}
