import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Bundle, decodeBundle, verifyDigest } from "../core/bundle.ts";
import { MillraceError } from "../core/errors.ts";

const DIGEST = /^[0-9a-f]{64}$/;
const SUFFIX = ".bundle";
const TEMPORARY = ".tmp";

/** Bundles on this gateway's disk, each named by its digest. A file with its final name is whole; its content is checked on every read. */
export class Artifacts {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Undefined when it is not here. @throws MillraceError DIGEST_MISMATCH, BUNDLE_CORRUPT */
  async read(digest: string): Promise<Bundle | undefined> {
    const path = this.#path(digest);
    let bytes: Buffer;
    try {
      bytes = await readFile(path);
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
      throw error;
    }
    verifyDigest(bytes, digest);
    return decodeBundle(bytes);
  }

  /**
   * Writes the pieces as they come, and gives the file its name only when it is on disk and has the digest.
   * @throws MillraceError DIGEST_MISMATCH, or whatever `pieces` throws; then nothing is left behind
   */
  async write(digest: string, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    const path = this.#path(digest);
    await mkdir(this.#folder, { recursive: true });
    const temporary = path + TEMPORARY;
    try {
      await writeSynced(temporary, pieces);
      verifyDigest(await readFile(temporary), digest);
      await rename(temporary, path);
      await syncFolder(this.#folder);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }

  async drop(digest: string): Promise<void> {
    await rm(this.#path(digest), { force: true });
  }

  /** Removes every file that is not one of these digests. */
  async keepOnly(digests: ReadonlySet<string>): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    for (const file of await readdir(this.#folder)) {
      const ours = file.endsWith(SUFFIX) || file.endsWith(SUFFIX + TEMPORARY);
      if (ours && !digests.has(file.slice(0, -SUFFIX.length))) await rm(join(this.#folder, file), { force: true });
    }
  }

  /** The digest came over the network and becomes part of a path. */
  #path(digest: string): string {
    if (!DIGEST.test(digest)) throw new MillraceError("DIGEST_MISMATCH", `"${digest.slice(0, 80)}" is not a sha256 digest`);
    return join(this.#folder, digest + SUFFIX);
  }
}

async function writeSynced(path: string, pieces: AsyncIterable<Uint8Array>): Promise<void> {
  const file = await open(path, "w");
  try {
    for await (const piece of pieces) await file.writeFile(piece);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** A rename is on disk only when its folder is. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
