import { z } from "zod";
import type { Store } from "./store.ts";

/** Known sources that are remembered; beyond that the store is asked again. */
const REMEMBERED_MAX = 100_000;

const idRow = z.object({ id: z.int() });

/** The numbers of sources: of each function on each gateway that ever sent an event. */
export class Sources {
  readonly #store: Store;
  readonly #known = new Map<string, number>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** The number of this source; a new one gets one, committed before any event has it. */
  async idOf(gateway: string, functionName: string): Promise<number> {
    // No gateway id contains a slash.
    const name = `${gateway}/${functionName}`;
    const known = this.#known.get(name) ?? (await this.#lookUp(gateway, functionName));
    if (this.#known.size >= REMEMBERED_MAX) this.#known.clear();
    this.#known.set(name, known);
    return known;
  }

  /** The sources with this gateway, this function, or both. */
  async matching(gateway: string | undefined, functionName: string | undefined): Promise<number[]> {
    const rows = await this.#store.query(
      idRow,
      "select id from sources where ($1::text is null or gateway = $1) and ($2::text is null or function = $2)",
      [gateway ?? null, functionName ?? null],
    );
    return rows.map(({ id }) => id);
  }

  /** Looked up before it is inserted: an insert that finds it there would still be a commit. */
  async #lookUp(gateway: string, functionName: string): Promise<number> {
    const [found] = await this.matching(gateway, functionName);
    if (found !== undefined) return found;
    const [made] = await this.#store.query(
      idRow,
      `insert into sources (id, gateway, function) select coalesce(max(id), 0) + 1, $1, $2 from sources
       on conflict (function, gateway) do update set gateway = excluded.gateway returning id`,
      [gateway, functionName],
    );
    if (made === undefined) throw new Error("an insert that returns its row returned none");
    return made.id;
  }
}
