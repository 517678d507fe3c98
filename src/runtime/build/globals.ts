/** What the SDK has for functions in its folder `globals` → the global names that each file has. */
const FILES: Readonly<Record<string, readonly string[]>> = {
  abort: ["AbortController", "AbortSignal"],
  base64: ["atob", "btoa"],
  crypto: ["crypto"],
  "dom-exception": ["DOMException"],
  "event-target": ["Event", "EventTarget"],
  "structured-clone": ["structuredClone"],
  "text-decoder": ["TextDecoder"],
  "text-encoder": ["TextEncoder"],
  url: ["URL"],
  "url-search-params": ["URLSearchParams"],
};

export const GLOBALS_FOLDER = "globals/";

/**
 * Global names → where the bundler takes them from when a module uses one that nothing in it declares. Only what is used gets into a bundle, so
 * isolates stay as small as they are, and a function keeps the globals that it was built with.
 */
export function webGlobals(prefix: string): Record<string, [module: string, name: string]> {
  const found = Object.entries(FILES).flatMap(([file, names]) => names.map((name) => [name, `${prefix}${GLOBALS_FOLDER}${file}`] as const));
  return Object.fromEntries(
    found.flatMap(([name, module]) => [name, `globalThis.${name}`].map((path): [string, [string, string]] => [path, [module, name]])),
  );
}
