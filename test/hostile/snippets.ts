import type { Snippet } from "./snippet.ts";
import { BATCHES } from "./snippets/batches.ts";
import { ERRORS } from "./snippets/errors.ts";
import { ESCAPES } from "./snippets/escapes.ts";
import { FETCHES } from "./snippets/fetches.ts";
import { FLOODS } from "./snippets/floods.ts";
import { FORGERIES } from "./snippets/forgeries.ts";
import { GLOBALS } from "./snippets/globals.ts";
import { LATE } from "./snippets/late.ts";
import { LOADING } from "./snippets/loading.ts";
import { LOOPS } from "./snippets/loops.ts";
import { MEMORY_BOMBS } from "./snippets/memory.ts";
import { MIGRATIONS } from "./snippets/migrations.ts";
import { NATIVES } from "./snippets/natives.ts";
import { ODDITIES } from "./snippets/oddities.ts";
import { PAYLOADS } from "./snippets/payloads.ts";
import { REALM } from "./snippets/realm.ts";
import { REQUESTS } from "./snippets/requests.ts";
import { STORES } from "./snippets/stores.ts";
import { SYNTAX } from "./snippets/syntax.ts";
import { TAMPERING } from "./snippets/tampering.ts";
import { VALUES } from "./snippets/values.ts";
import { WAKERS } from "./snippets/wakers.ts";

export const SNIPPETS: readonly Snippet[] = [
  ...LOOPS,
  ...NATIVES,
  ...MEMORY_BOMBS,
  ...VALUES,
  ...STORES,
  ...ERRORS,
  ...REALM,
  ...FORGERIES,
  ...LATE,
  ...ESCAPES,
  ...FLOODS,
  ...WAKERS,
  ...FETCHES,
  ...BATCHES,
  ...REQUESTS,
  ...LOADING,
  ...MIGRATIONS,
  ...GLOBALS,
  ...TAMPERING,
  ...PAYLOADS,
  ...SYNTAX,
  ...ODDITIES,
];
