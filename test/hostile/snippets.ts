import type { Snippet } from "./snippet.ts";
import { ESCAPES } from "./snippets/escapes.ts";
import { FETCHES } from "./snippets/fetches.ts";
import { FLOODS } from "./snippets/floods.ts";
import { LOADING } from "./snippets/loading.ts";
import { LOOPS } from "./snippets/loops.ts";
import { MEMORY_BOMBS } from "./snippets/memory.ts";
import { REALM } from "./snippets/realm.ts";
import { VALUES } from "./snippets/values.ts";

export const SNIPPETS: readonly Snippet[] = [...LOOPS, ...MEMORY_BOMBS, ...VALUES, ...REALM, ...ESCAPES, ...FLOODS, ...FETCHES, ...LOADING];
