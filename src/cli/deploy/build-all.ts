import { join } from "node:path";
import { digestOf, encodeBundle } from "../../core/bundle.ts";
import { MillraceError } from "../../core/errors.ts";
import { type HttpRoute, isSameRoute, readRoute } from "../../core/http-route.ts";
import type { TriggerSpec } from "../../core/triggers.ts";
import { buildFunction, MANIFEST_FILE } from "../../runtime/build/build.ts";

/** A function that is ready to be published. */
export interface Built {
  readonly folder: string;
  readonly name: string;
  readonly digest: string;
  readonly bytes: Buffer<ArrayBuffer>;
  /** What wakes it. */
  readonly triggers: readonly TriggerSpec[];
}

/** @throws what `buildFunction` throws, BUNDLE_TOO_LARGE */
export async function buildForPublish(folder: string): Promise<Built> {
  const bundle = await buildFunction(folder);
  const bytes = Buffer.from(encodeBundle(bundle));
  const { name, triggers } = bundle.manifest;
  return { folder, name, digest: digestOf(bytes), bytes, triggers };
}

/**
 * Builds every folder or none: one mistake anywhere and nothing is handed back.
 * @throws MillraceError with the problems of all folders that have one
 */
export async function buildAll(folders: readonly string[]): Promise<Built[]> {
  const built: Built[] = [];
  const problems: MillraceError[] = [];
  for (const folder of folders) {
    try {
      built.push(await buildForPublish(folder));
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      problems.push(error);
    }
  }
  const [first, ...others] = problems;
  if (first === undefined) return checkRoutes(checkNames(built));
  if (others.length === 0) throw first;
  throw new MillraceError(
    first.code,
    problems.map(({ code, message }) => (code === first.code ? message : `${code}: ${message}`)).join("\n"),
  );
}

function checkNames(built: Built[]): Built[] {
  const folders = new Map<string, string>();
  for (const { name, folder } of built) {
    const other = folders.get(name);
    if (other !== undefined) throw new MillraceError("MANIFEST_INVALID", `${other} and ${folder} are both named "${name}"`);
    folders.set(name, folder);
  }
  return built;
}

interface Routed {
  readonly folder: string;
  readonly name: string;
  readonly index: number;
  readonly text: string;
  readonly route: HttpRoute;
}

/** A gateway would refuse the second of two functions that take the same requests. */
function checkRoutes(built: Built[]): Built[] {
  const routes = built.flatMap(routesOf);
  const problems = routes.flatMap(({ folder, index, text, route }, at) => {
    const other = routes.slice(0, at).find((each) => each.folder !== folder && isSameRoute(route, each.route));
    if (other === undefined) return [];
    const place = `${join(folder, MANIFEST_FILE)}: triggers[${index}].http: "${text}"`;
    const remedy = `; give one of them another method or path`;
    return [`${place} takes requests that "${other.name}" takes, with "${other.text}" in ${join(other.folder, MANIFEST_FILE)}${remedy}`];
  });
  if (problems.length > 0) throw new MillraceError("MANIFEST_INVALID", problems.join("\n"));
  return built;
}

function routesOf({ folder, name, triggers }: Built): Routed[] {
  return triggers.flatMap((trigger, index) => {
    const route = "http" in trigger ? readRoute(trigger.http) : undefined;
    return route === undefined || "problem" in route || !("http" in trigger) ? [] : [{ folder, name, index, text: trigger.http, route }];
  });
}
