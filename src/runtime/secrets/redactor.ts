/** Of one function; those that were replaced long ago give way. */
const VALUES_MAX = 200;
/** Texts of guests are cut off, at 4,000 characters and more; then the beginning of a secret may stand at their end. */
const CUT_CHARS_MIN = 3_900;
const CUT_MARK = " … (LIMIT_LOG";
/** A shorter beginning says nothing. */
const BEGINNING_MIN = 6;

/** Takes the secrets that a function may have out of what it says. */
export class Redactor {
  /** By value, the name. */
  readonly #values = new Map<string, string>();
  #pattern: RegExp | undefined;
  #names = new Map<string, string>();

  know(name: string, value: string): void {
    if (this.#values.get(value) === name) return;
    this.#values.set(value, name);
    const [oldest] = this.#values.keys();
    if (this.#values.size > VALUES_MAX && oldest !== undefined) this.#values.delete(oldest);
    this.#names = new Map([...this.#values].flatMap(([each, its]) => formsOf(each).map((form) => [form, its] as const)));
    // The longest first: one may be the beginning of another.
    const forms = [...this.#names.keys()].toSorted((a, b) => b.length - a.length);
    this.#pattern = new RegExp(forms.map((form) => RegExp.escape(form)).join("|"), "g");
  }

  redact(text: string): string {
    if (this.#pattern === undefined) return text;
    const redacted = text.replace(this.#pattern, (form) => `[secret ${this.#names.get(form) ?? ""}]`);
    return redacted.length < CUT_CHARS_MIN ? redacted : this.#withoutBeginning(redacted);
  }

  #withoutBeginning(text: string): string {
    const mark = text.lastIndexOf(CUT_MARK);
    const end = mark === -1 ? text.length : mark;
    for (const [form, name] of this.#names) {
      for (let length = Math.min(form.length - 1, end); length >= BEGINNING_MIN; length--) {
        if (text.startsWith(form.slice(0, length), end - length)) return `${text.slice(0, end - length)}[secret ${name}]${text.slice(end)}`;
      }
    }
    return text;
  }
}

/** As it is, and as it looks in JSON, in a URL and in a header. */
function formsOf(value: string): string[] {
  const bytes = Buffer.from(value);
  const base64 = bytes.toString("base64");
  const forms = [value, JSON.stringify(value).slice(1, -1), encodeURIComponent(value.toWellFormed()), base64, bytes.toString("base64url")];
  return [...new Set([...forms, base64.replace(/=+$/, "")])];
}
