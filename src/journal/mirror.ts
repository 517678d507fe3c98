import { copyFile, link, mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { systemCode } from "../core/errors.ts";
import { type Database, openDatabase } from "./database.ts";
import { isRepairable, repair, repairWithoutCurrent } from "./repair.ts";

/** Codes of file systems that have no hard links. */
const NO_LINKS = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EXDEV", "EMLINK"]);

/**
 * A database that can be looked at without touching it: LevelDB writes to whatever it opens. Its tables never change and are linked, the rest
 * is copied, into a folder beside it that is gone afterwards. Nobody may have the original open.
 */
export class Mirror implements AsyncDisposable {
  readonly database: Database;
  /** What LevelDB had to repair to open it; the original is as it was. */
  readonly problems: readonly string[];
  readonly #folder: string;

  private constructor(database: Database, folder: string, problems: readonly string[]) {
    this.database = database;
    this.#folder = folder;
    this.problems = problems;
  }

  /** @throws MillraceError DATA_CORRUPT, DISK_FULL, DATA_UNWRITABLE */
  static async open(location: string): Promise<Mirror> {
    const folder = await mkdtemp(`${location}-mirror-`);
    try {
      const inside = join(folder, "journal");
      await mirror(location, inside);
      const problems = await repairWithoutCurrent(inside);
      const database = await openDatabase(inside).catch(async (error: unknown) => {
        if (!isRepairable(error)) throw error;
        problems.push(...(await repair(inside, error.message)));
        return openDatabase(inside);
      });
      return new Mirror(
        database,
        folder,
        problems.map(() => "LevelDB's own files are damaged; the next start repairs them"),
      );
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.database.close();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

async function mirror(from: string, to: string): Promise<void> {
  await mkdir(to);
  for (const entry of await readdir(from, { withFileTypes: true })) {
    if (!entry.isFile() || entry.name === "LOCK") continue;
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (/\.(ldb|sst)$/.test(entry.name)) await linkOrCopy(source, target);
    else await copyFile(source, target);
  }
}

async function linkOrCopy(source: string, target: string): Promise<void> {
  try {
    await link(source, target);
  } catch (error) {
    if (!NO_LINKS.has(systemCode(error) ?? "")) throw error;
    await copyFile(source, target);
  }
}
