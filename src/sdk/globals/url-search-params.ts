import { TextDecoder } from "./text-decoder.ts";
import { percentDecode } from "./url-encoding.ts";

type Pair = [name: string, value: string];
/** What becomes text by `String`. */
type Text = string | number | boolean | null;

/** `URLSearchParams` of the URL standard. */
export class URLSearchParams {
  #pairs: Pair[] = [];
  #changed: ((text: string) => void) | undefined;

  /** Text with or without `?`, pairs, or an object. */
  constructor(init: unknown = "") {
    if (typeof init === "object" && init !== null) this.#pairs = pairsOf(init);
    else this.#pairs = parsed(String(init).replace(/^\?/, ""));
  }

  /** For `URL`: these are the parameters of a query, and changes of them are told. */
  static of(query: string, changed: (text: string) => void): { params: URLSearchParams; replace: (query: string) => void } {
    const params = new URLSearchParams();
    params.#pairs = parsed(query);
    params.#changed = changed;
    return { params, replace: (text) => void (params.#pairs = parsed(text)) };
  }

  get size(): number {
    return this.#pairs.length;
  }

  append(name: Text, value: Text): void {
    this.#change([...this.#pairs, pair(name, value)]);
  }

  delete(name: Text, value?: Text): void {
    this.#change(this.#pairs.filter((one) => !matches(one, name, value)));
  }

  get(name: Text): string | null {
    return this.#pairs.find((one) => matches(one, name))?.[1] ?? null;
  }

  getAll(name: Text): string[] {
    return this.#pairs.filter((one) => matches(one, name)).map(([, value]) => value);
  }

  has(name: Text, value?: Text): boolean {
    return this.#pairs.some((one) => matches(one, name, value));
  }

  /** In the place of the first of that name; the others go. */
  set(name: Text, value: Text): void {
    const [wanted, text] = pair(name, value);
    const first = this.#pairs.findIndex(([known]) => known === wanted);
    if (first === -1) return this.append(wanted, text);
    const kept = this.#pairs.filter(([known], index) => known !== wanted || index === first);
    this.#change(kept.map(([known, old]): Pair => [known, known === wanted ? text : old]));
  }

  /** By name, in UTF-16 units. */
  sort(): void {
    this.#change(this.#pairs.toSorted(([a], [b]) => (a < b ? -1 : Number(a > b))));
  }

  forEach(callback: (value: string, name: string, params: URLSearchParams) => void, self?: unknown): void {
    for (const [name, value] of this) callback.call(self, value, name, this);
  }

  *entries(): Generator<Pair> {
    for (let at = 0; at < this.#pairs.length; at++) {
      const [name = "", value = ""] = this.#pairs[at] ?? [];
      yield [name, value];
    }
  }

  *keys(): Generator<string> {
    for (const [name] of this) yield name;
  }

  *values(): Generator<string> {
    for (const [, value] of this) yield value;
  }

  [Symbol.iterator](): Generator<Pair> {
    return this.entries();
  }

  toString(): string {
    return this.#pairs.map((one) => one.map(encoded).join("=")).join("&");
  }

  #change(pairs: Pair[]): void {
    this.#pairs = pairs;
    this.#changed?.(this.toString());
  }
}

function pair(name: Text, value: Text): Pair {
  return [String(name).toWellFormed(), String(value).toWellFormed()];
}

function matches([known, text]: Pair, name: Text, value?: Text): boolean {
  return known === String(name).toWellFormed() && (value === undefined || text === String(value).toWellFormed());
}

function pairsOf(init: object): Pair[] {
  if (!(Symbol.iterator in init)) return Object.entries(init as Record<string, Text>).map(([name, value]) => pair(name, value));
  return Array.from(init as Iterable<Iterable<Text>>, (one) => {
    const [name, value, ...rest] = one;
    if (name === undefined || value === undefined || rest.length > 0)
      throw new TypeError("URLSearchParams takes pairs of a name and a value");
    return pair(name, value);
  });
}

/** application/x-www-form-urlencoded, https://url.spec.whatwg.org/#urlencoded-parsing */
function parsed(text: string): Pair[] {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const decoded = (part: string): string => percentDecode(part.toWellFormed().replaceAll("+", " "), (bytes) => decoder.decode(bytes));
  return text
    .split("&")
    .filter((part) => part !== "")
    .map((part) => {
      const at = part.indexOf("=");
      return at === -1 ? [decoded(part), ""] : [decoded(part.slice(0, at)), decoded(part.slice(at + 1))];
    });
}

function encoded(text: string): string {
  return encodeURIComponent(text)
    .replace(/[!'()~]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll("%20", "+");
}
