import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Bundle, digestOf, encodeBundle } from "../../../src/core/bundle.ts";
import { MillraceError } from "../../../src/core/errors.ts";
import { Artifacts } from "../../../src/sync/artifacts.ts";
import { manifestOf } from "./samples.ts";

const bundle: Bundle = { manifest: manifestOf("celsius"), code: "globalThis.__millrace = {}", sourceMap: "" };
const bytes = encodeBundle(bundle);
const digest = digestOf(bytes);
let folder: string;

beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), "millrace-artifacts-"))));
afterEach(() => rm(folder, { recursive: true }));

async function* cut(whole: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < whole.length; at += size) yield whole.subarray(at, at + size);
}

describe("bundles on disk", () => {
  it("puts the pieces together and gives them back", async () => {
    const artifacts = new Artifacts(folder);
    expect(await artifacts.read(digest)).toBeUndefined();
    await artifacts.write(digest, cut(bytes, 7));
    expect(await artifacts.read(digest)).toEqual(bundle);
  });

  it("refuses other bytes than the digest promises, and leaves nothing behind", async () => {
    const artifacts = new Artifacts(folder);
    await expect(artifacts.write(digest, cut(bytes.subarray(1), 100))).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
    const broken = async function* (): AsyncGenerator<Uint8Array> {
      yield bytes.subarray(0, 5);
      throw new MillraceError("LINK_DOWN", "gone");
    };
    await expect(artifacts.write(digest, broken())).rejects.toMatchObject({ code: "LINK_DOWN" });
    expect(await readdir(folder)).toEqual([]);
  });

  it("finds damage when it reads", async () => {
    const artifacts = new Artifacts(folder);
    await artifacts.write(digest, cut(bytes, 100));
    await writeFile(join(folder, `${digest}.bundle`), bytes.subarray(0, 10));
    await expect(artifacts.read(digest)).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
  });

  it("never makes a path of what is not a digest", async () => {
    await expect(new Artifacts(folder).read("../../secret")).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
  });

  it("removes what is no longer needed and halves of earlier tries, and nothing else", async () => {
    const artifacts = new Artifacts(folder);
    await artifacts.write(digest, cut(bytes, 100));
    for (const file of [`${"0".repeat(64)}.bundle`, `${digest}.bundle.tmp`, "notes.txt"]) await writeFile(join(folder, file), "x");
    await artifacts.keepOnly(new Set([digest]));
    expect((await readdir(folder)).toSorted()).toEqual([`${digest}.bundle`, "notes.txt"].toSorted());
  });
});
