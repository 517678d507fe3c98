import { DOMException } from "./dom-exception.ts";

type Clones = Map<object, unknown>;

const ERRORS: Readonly<Record<string, ErrorConstructor>> = {
  Error,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
};

const BOXES: ReadonlySet<string> = new Set(["Boolean", "Number", "String", "BigInt"]);
const UNCOPIED: ReadonlySet<string> = new Set(["Promise", "WeakMap", "WeakSet", "WeakRef", "Symbol", "Generator", "AsyncGenerator"]);

/**
 * `structuredClone` of the HTML standard, for what exists in an isolate; only an ArrayBuffer can be transferred.
 * @throws DOMException DataCloneError for functions, symbols, promises and what else has no copy
 */
export function structuredClone<T>(value: T, { transfer = [] }: { readonly transfer?: Iterable<unknown> } = {}): T {
  const moved = new Set(transfer);
  for (const one of moved) {
    if (!(one instanceof ArrayBuffer) || one.detached) throw refused(one);
  }
  const clones: Clones = new Map();
  const made = clone(value, clones, moved) as T;
  for (const one of moved) if (one instanceof ArrayBuffer && !one.detached) one.transfer();
  return made;
}

function clone(value: unknown, clones: Clones, moved: ReadonlySet<unknown>): unknown {
  if (typeof value === "symbol" || typeof value === "function") throw refused(value);
  if (typeof value !== "object" || value === null) return value;
  if (clones.has(value)) return clones.get(value);
  const shell = shellOf(value, (inner) => clone(inner, clones, moved), moved);
  clones.set(value, shell);
  fill(value, shell, (inner) => clone(inner, clones, moved));
  return shell;
}

type Again = (value: unknown) => unknown;

/** The copy before it holds other copies, so that a circle finds it. */
function shellOf(value: object, again: Again, moved: ReadonlySet<unknown>): object {
  if (Array.isArray(value)) return Object.assign([], { length: value.length });
  if (value instanceof Date) return new Date(value.getTime());
  if (value instanceof RegExp) return new RegExp(value.source, value.flags);
  if (value instanceof Map) return new Map();
  if (value instanceof Set) return new Set();
  if (value instanceof ArrayBuffer) return bufferOf(value, moved);
  if (ArrayBuffer.isView(value)) return viewOf(value, again);
  if (value instanceof Error) return errorOf(value);
  const kind = kindOf(value);
  if (BOXES.has(kind)) return Object(value.valueOf()) as object;
  if (UNCOPIED.has(kind)) throw refused(value);
  return {};
}

function bufferOf(buffer: ArrayBuffer, moved: ReadonlySet<unknown>): ArrayBuffer {
  if (buffer.detached) throw refused(buffer);
  return moved.has(buffer) ? buffer.transfer() : buffer.slice();
}

function viewOf(view: ArrayBufferView, again: Again): object {
  const { buffer, byteOffset, byteLength } = view;
  const length = view instanceof DataView || !("length" in view) ? byteLength : Number(view.length);
  const kind = view instanceof DataView ? "DataView" : kindOf(view);
  return Reflect.construct(Reflect.get(globalThis, kind) as Uint8ArrayConstructor, [again(buffer), byteOffset, length]);
}

function errorOf(error: Error): Error {
  const Kind = ERRORS[error.name] ?? Error;
  const made = new Kind(error.message);
  if (error.stack !== undefined) Object.defineProperty(made, "stack", { value: error.stack, writable: true, configurable: true });
  return made;
}

function fill(value: object, shell: object, again: Again): void {
  if (value instanceof Map && shell instanceof Map) {
    for (const [key, one] of value.entries().toArray()) shell.set(again(key), again(one));
  } else if (value instanceof Set && shell instanceof Set) {
    for (const one of value.values().toArray()) shell.add(again(one));
  } else if (value instanceof Error && "cause" in value) {
    Object.defineProperty(shell, "cause", { value: again(value.cause), writable: true, configurable: true });
  } else if (Array.isArray(value) || isPlain(value, shell)) {
    copyProperties(value, shell, again);
  }
}

function isPlain(value: object, shell: object): boolean {
  return !(value instanceof Error) && Object.getPrototypeOf(shell) === Object.prototype;
}

function copyProperties(value: object, shell: object, again: Again): void {
  for (const key of Object.keys(value)) {
    if (!Object.hasOwn(value, key)) continue; // A getter before it has deleted it.
    Object.defineProperty(shell, key, { value: again(Reflect.get(value, key)), writable: true, enumerable: true, configurable: true });
  }
}

function kindOf(value: object): string {
  return Object.prototype.toString.call(value).slice("[object ".length, -1);
}

function refused(value: unknown): DOMException {
  const shown = typeof value === "object" && value !== null ? kindOf(value) : String(value);
  return new DOMException(`${shown} could not be cloned.`, "DataCloneError");
}
