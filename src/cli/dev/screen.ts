const HIDE_CURSOR = "\u001b[?25l";
const SHOW_CURSOR = "\u001b[?25h";
/** Between these a terminal that knows them shows nothing half-drawn. */
const BEGIN = "\u001b[?2026h";
const END = "\u001b[?2026l";
const CLEAR_ALL = "\u001b[2J\u001b[H";
const CLEAR_LINE_REST = "\u001b[K";
const CLEAR_BELOW = "\u001b[J";

/** Draws lines over those of the last time, where the cursor was, without clearing them first: nothing flickers. */
export class Screen implements Disposable {
  readonly #write: (text: string) => void;
  readonly #terminal: NodeJS.WriteStream;
  #drawn = 0;
  #resized = false;
  #last = "";

  constructor(terminal: NodeJS.WriteStream, write: (text: string) => void) {
    this.#write = write;
    this.#terminal = terminal;
    terminal.on("resize", this.#onResize);
    // A second Ctrl-C ends the process at once, and nobody wants a terminal without a cursor afterwards.
    process.once("exit", this.#restore);
    write(HIDE_CURSOR);
  }

  get size(): { width: number; height: number } {
    return { width: this.#terminal.columns, height: this.#terminal.rows };
  }

  draw(lines: readonly string[]): void {
    const text = lines.map((line) => `${line}${CLEAR_LINE_REST}\r\n`).join("");
    if (text === this.#last && !this.#resized) return;
    // After a resize the terminal has wrapped what was there, so the old lines cannot be found again.
    const start = this.#resized ? CLEAR_ALL : this.#drawn > 0 ? `\u001b[${this.#drawn}A\r` : "";
    this.#write(`${BEGIN}${start}${text}${CLEAR_BELOW}${END}`);
    this.#drawn = lines.length;
    this.#resized = false;
    this.#last = text;
  }

  [Symbol.dispose](): void {
    this.#terminal.off("resize", this.#onResize);
    process.off("exit", this.#restore);
    this.#restore();
  }

  readonly #onResize = (): void => {
    this.#resized = true;
  };

  readonly #restore = (): void => {
    this.#write(SHOW_CURSOR);
  };
}
