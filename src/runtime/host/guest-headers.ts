import { printable } from "./guest-effects.ts";

const HEADER_NAME = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/;
// A byte each, and none that would end the line (Fetch standard, "header value").
const NO_HEADER_VALUE = /[\0\r\n\u0100-\uffff]/;

type HeaderPair = readonly [name: string, value: string];

/** `Headers` of the Fetch standard. Names are kept in lower case. */
export class Headers {
  #pairs: HeaderPair[] = [];

  constructor(init?: unknown) {
    for (const [name, value] of headerPairs(init)) this.append(name, value);
  }

  append(name: unknown, value: unknown): void {
    this.#pairs.push([headerName(name), headerValue(value)]);
  }

  set(name: unknown, value: unknown): void {
    const [wanted, text] = [headerName(name), headerValue(value)];
    const at = this.#pairs.findIndex(([each]) => each === wanted);
    if (at === -1) this.#pairs.push([wanted, text]);
    else this.#pairs = this.#pairs.flatMap((pair, index) => (index === at ? [[wanted, text]] : pair[0] === wanted ? [] : [pair]));
  }

  delete(name: unknown): void {
    const wanted = headerName(name);
    this.#pairs = this.#pairs.filter(([each]) => each !== wanted);
  }

  get(name: unknown): string | null {
    const wanted = headerName(name);
    const found = this.#pairs.filter(([each]) => each === wanted);
    return found.length === 0 ? null : found.map(([, value]) => value).join(", ");
  }

  getSetCookie(): string[] {
    return this.#pairs.filter(([name]) => name === "set-cookie").map(([, value]) => value);
  }

  has(name: unknown): boolean {
    const wanted = headerName(name);
    return this.#pairs.some(([each]) => each === wanted);
  }

  forEach(callback: (value: string, name: string, headers: Headers) => void): void {
    for (const [name, value] of this) callback(value, name, this);
  }

  /** By name; values of one name together, except those of cookies. */
  *entries(): Generator<[string, string]> {
    for (const name of [...new Set(this.#pairs.map(([each]) => each))].toSorted()) {
      const values = name === "set-cookie" ? this.getSetCookie() : [this.get(name) ?? ""];
      for (const value of values) yield [name, value];
    }
  }
  *keys(): Generator<string> {
    for (const [name] of this) yield name;
  }
  *values(): Generator<string> {
    for (const [, value] of this) yield value;
  }
  [Symbol.iterator](): Generator<[string, string]> {
    return this.entries();
  }
}

function headerName(name: unknown): string {
  const text = String(name);
  if (!HEADER_NAME.test(text)) throw new TypeError(`${printable(text)} is not the name of a header`);
  return text.toLowerCase();
}

function headerValue(value: unknown): string {
  const text = String(value).replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
  if (NO_HEADER_VALUE.test(text)) throw new TypeError("the value of a header has a line break, a NUL or a character above U+00FF");
  return text;
}

/** Of another Headers, a list of pairs, or an object. */
function headerPairs(init: unknown): Iterable<readonly [unknown, unknown]> {
  if (init === undefined || init === null) return [];
  if (typeof init !== "object") throw new TypeError("headers are an object, a list of pairs or Headers");
  if (!(Symbol.iterator in init)) return Object.entries(init);
  return Array.from(init as Iterable<unknown>, (pair) => {
    const both = Array.from(pair as Iterable<unknown>);
    if (both.length !== 2) throw new TypeError("a header is a pair of name and value");
    return [both[0], both[1]] as const;
  });
}
