import { suggestion } from "./nearest.ts";

/** Methods that a route may have. */
const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"] as const;
const SEGMENTS_MAX = 20;
const PARAM = /^:([A-Za-z_][A-Za-z0-9_]*)$/;
/** What a URL path carries unescaped (RFC 3986, 3.3), but for what stands for something else here. */
const LITERAL = /^[A-Za-z0-9\-._~!$&'(),;=@]*$/;

/** Below `/fn/`: which methods, and the segments of the path, of which those with `:` in front stand for any text. */
export interface HttpRoute {
  readonly methods: readonly string[];
  readonly segments: readonly string[];
}

/** Reads `POST /device/:id`, or `GET,POST /…`. What is wrong is answered as text. */
export function readRoute(text: string): HttpRoute | { readonly problem: string } {
  const [list = "", path = "", ...rest] = text.split(" ");
  const methods = list.split(",");
  const unknown = methods.find((method) => !METHODS.some((known) => known === method));
  if (unknown !== undefined) {
    const near = text.startsWith("/") ? `; try "POST ${text}"` : suggestion(unknown.toUpperCase(), METHODS);
    return { problem: `"${text}" does not begin with a method${near}` };
  }
  if (new Set(methods).size < methods.length) return { problem: `"${text}" names a method twice` };
  if (!path.startsWith("/") || rest.length > 0) return { problem: `"${text}" is not a method, a space and a path; try "${list} /${path}"` };
  const segments = path.slice(1).split("/");
  const problem = segmentsProblem(segments);
  return problem === undefined ? { methods, segments } : { problem: `"${text}": ${problem}` };
}

function segmentsProblem(segments: readonly string[]): string | undefined {
  if (segments.length > SEGMENTS_MAX) return `a path has at most ${SEGMENTS_MAX} segments`;
  if (segments.length > 1 && segments.includes("")) return "a segment of the path is empty";
  const names = segments.flatMap((segment) => PARAM.exec(segment)?.[1] ?? []);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) return `two parameters are named "${twice}"`;
  const bad = segments.find((segment) => !PARAM.test(segment) && !LITERAL.test(segment));
  return bad === undefined ? undefined : `"${bad}" is neither a parameter such as ":id" nor plain text`;
}

/** The name of a segment that is a parameter. */
export function paramOf(segment: string): string | undefined {
  return PARAM.exec(segment)?.[1];
}

export function matchesPath({ segments }: HttpRoute, path: readonly string[]): boolean {
  if (segments.length !== path.length) return false;
  return segments.every((segment, index) => (paramOf(segment) === undefined ? segment === path[index] : path[index] !== ""));
}

/** Whether the two have a method and every path in common. */
export function isSameRoute(one: HttpRoute, other: HttpRoute): boolean {
  const shape = ({ segments }: HttpRoute): string => segments.map((segment) => (paramOf(segment) === undefined ? segment : ":")).join("/");
  return shape(one) === shape(other) && one.methods.some((method) => other.methods.includes(method));
}

/** Sorts what leaves less open first: a text before a parameter, from the left. */
export function byOpenness(one: HttpRoute, other: HttpRoute): number {
  const openness = ({ segments }: HttpRoute): string => segments.map((segment) => (paramOf(segment) === undefined ? "0" : "1")).join("");
  return openness(one) < openness(other) ? -1 : openness(one) > openness(other) ? 1 : 0;
}
