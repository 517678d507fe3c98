import { z } from "zod";

const lockSchema = z.object({
  lockfileVersion: z.literal(3),
  packages: z.record(
    z.string(),
    z.object({
      version: z.string().optional(),
      resolved: z.string().optional(),
      integrity: z.string().optional(),
      license: z.string().optional(),
      dev: z.boolean().optional(),
      link: z.boolean().optional(),
      hasInstallScript: z.boolean().optional(),
    }),
  ),
});
export type Lock = z.infer<typeof lockSchema>;

const rangesSchema = z.record(z.string(), z.string()).default({});
const packageSchema = z.object({ dependencies: rangesSchema, devDependencies: rangesSchema, optionalDependencies: rangesSchema });
export type PackageFile = z.infer<typeof packageSchema>;

export function parseLock(text: string): Lock {
  return lockSchema.parse(JSON.parse(text));
}

export function parsePackage(text: string): PackageFile {
  return packageSchema.parse(JSON.parse(text));
}

/** Licences that ask for nothing but their own text to be kept, by SPDX name. */
const LICENCES = new Set([
  "0BSD",
  "Apache-2.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "BlueOak-1.0.0",
  "CC0-1.0",
  "ISC",
  "MIT",
  "PostgreSQL",
  "Python-2.0",
  "Unlicense",
  "Zlib",
]);

/** Packages that users get and that come under terms not on the list. */
export function licenceProblems(lock: Lock): string[] {
  return Object.entries(lock.packages)
    .filter(([path, entry]) => path !== "" && entry.dev !== true)
    .filter(([, entry]) => !allowed(entry.license))
    .map(([path, entry]) => `${nameOf(path)}: licence ${entry.license ?? "unknown"}`);
}

/** SPDX expressions as npm packages write them: names, OR, AND, one level of brackets. */
function allowed(expression: string | undefined): boolean {
  const terms = (expression ?? "").replace(/^\((.*)\)$/, "$1");
  if (terms.includes(" OR ")) return terms.split(" OR ").some((term) => allowed(term));
  return terms.split(" AND ").every((term) => LICENCES.has(term));
}

/** A lock file must work with whatever registry the machine uses, and still let nothing be slipped in. */
export function lockProblems(lock: Lock): string[] {
  return Object.entries(lock.packages)
    .filter(([path, entry]) => path !== "" && entry.link !== true)
    .flatMap(([path, entry]) => [
      ...(entry.resolved === undefined ? [] : [`${nameOf(path)}: has the download address ${entry.resolved}`]),
      ...(entry.integrity === undefined ? [`${nameOf(path)}: has no integrity hash`] : []),
    ]);
}

/** Native code, and packages whose output or behaviour is part of what Millrace promises. */
const PINNED = ["@electric-sql/pglite", "aedes", "classic-level", "isolated-vm", "oxfmt", "rolldown"];
const EXACT = /^\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?$/;

/** Direct dependencies that must name one version and do not: native modules, betas, and those listed above. */
export function pinProblems(file: PackageFile, lock: Lock): string[] {
  const direct = Object.entries({ ...file.dependencies, ...file.devDependencies, ...file.optionalDependencies });
  return direct
    .filter(([name, range]) => {
      const entry = lock.packages[`node_modules/${name}`];
      const beta = (entry?.version ?? range).includes("-");
      return (PINNED.includes(name) || beta || entry?.hasInstallScript === true) && !EXACT.test(range);
    })
    .map(([name, range]) => `${name}: "${range}" is not one exact version`);
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
}
