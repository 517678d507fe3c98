import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { licenceProblems, lockProblems, parseLock, parsePackage, pinProblems } from "./rules/packages.ts";
import { ROOT } from "./rules/tree.ts";

const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");
const lock = parseLock(read("package-lock.json"));
const integrity = "sha512-x";

function lockOf(packages: Readonly<Record<string, object>>): ReturnType<typeof parseLock> {
  return parseLock(JSON.stringify({ lockfileVersion: 3, packages: { "": { name: "millrace" }, ...packages } }));
}

describe("packages", () => {
  it("that users get are all under a licence from the list", () => {
    const production = Object.values(lock.packages).filter(({ dev }) => dev !== true);
    expect(production.length).toBeGreaterThan(50);
    expect(licenceProblems(lock)).toEqual([]);
  });

  it("judges licences, those of packages inside packages too", () => {
    const planted = lockOf({
      "node_modules/good": { license: "MIT", integrity },
      "node_modules/either": { license: "(GPL-3.0 OR MIT)", integrity },
      "node_modules/both": { license: "MIT AND GPL-3.0", integrity },
      "node_modules/good/node_modules/@a/inner": { license: "AGPL-3.0", integrity },
      "node_modules/silent": { integrity },
      "node_modules/tool": { license: "MPL-2.0", dev: true, integrity },
    });
    expect(licenceProblems(planted)).toEqual(["both: licence MIT AND GPL-3.0", "@a/inner: licence AGPL-3.0", "silent: licence unknown"]);
  });

  it("are locked by hash and not to one registry", () => {
    expect(lockProblems(lock)).toEqual([]);
    expect(lockProblems(parseLock(read("tools/node/package-lock.json")))).toEqual([]);
    const planted = lockOf({ "node_modules/a": { resolved: "https://registry.example/a.tgz", integrity }, "node_modules/b": {} });
    expect(lockProblems(planted)).toEqual(["a: has the download address https://registry.example/a.tgz", "b: has no integrity hash"]);
  });

  it("that are native, beta or part of a promise name one exact version", () => {
    const file = parsePackage(read("package.json"));
    expect(Object.keys(file.dependencies)).toContain("isolated-vm");
    expect(pinProblems(file, lock)).toEqual([]);
    const planted = parsePackage(
      JSON.stringify({
        dependencies: { "isolated-vm": "^7.0.1", "native-thing": "~1.0.0", "beta-thing": "^2.0.0-beta.1", plain: "^1.0.0" },
      }),
    );
    const plantedLock = lockOf({ "node_modules/native-thing": { version: "1.0.0", hasInstallScript: true, integrity } });
    expect(pinProblems(planted, plantedLock)).toEqual([
      'isolated-vm: "^7.0.1" is not one exact version',
      'native-thing: "~1.0.0" is not one exact version',
      'beta-thing: "^2.0.0-beta.1" is not one exact version',
    ]);
  });
});
