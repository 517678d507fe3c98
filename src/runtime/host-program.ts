import { createRequire } from "node:module";
import { guestScript, javaScriptOf } from "./host/guest-script.ts";

/** What a host consists of, in the order in which the modules need one another; `guest-script` comes ready-made. */
const MODULES = [
  "frames",
  "machine-code",
  "demand",
  "code-cache",
  "port",
  "blank",
  "blank-sizes",
  "blank-pool",
  "pace",
  "alarm",
  "lateness",
  "wall-limit",
  "asks",
  "unstopped-calls",
  "load-error",
  "init-failed",
  "isolated-vm",
  "makings",
  "host",
];
/** What comes to it in a host whose isolates a debugger can look into; nothing of it is in any other. */
const INSPECTOR_MODULES = ["inspector", "inspectable"];

/**
 * The modules of a host as one classic script, for a Node process to read from its standard input. Finding, reading and stripping them would
 * take such a process twice its time to start and, from source, 30 MB; and so it needs to read nothing but the engine.
 */
export function hostProgram({ inspector }: { readonly inspector: boolean } = { inspector: false }): string {
  const names = inspector ? [...MODULES, ...INSPECTOR_MODULES, "main-inspected"] : [...MODULES, "main"];
  const guest = `modules["guest-script"] = { guestScript: () => ${JSON.stringify(guestScript())} };`;
  return ['"use strict"; const modules = {};', guest, ...names.map(linked)].join("\n");
}

/** Understands the forms of import and export that oxfmt and the compiler write at the start of a line. */
function linked(name: string): string {
  const text = javaScriptOf(name);
  const exported = [...text.matchAll(/^export (?:async )?(?:function|class|const) (\w+)/gm)].map((match) => match[1]);
  const body = text
    .replace(/^import \{([^}]*)\} from "\.\/([\w-]+)\.[jt]s";$/gm, 'const {$1} = modules["$2"];')
    .replace(/^import \{([^}]*)\} from "(node:\w+)";$/gm, 'const {$1} = require("$2");')
    .replace(/^import (\w+) from "([\w-]+)";$/gm, (_, local: string, from: string) => `const ${local} = require(${located(from)});`)
    .replace(/^export (?=(?:async )?(?:function|class|const) )/gm, "");
  if (/^(?:import|export)\b/m.test(body)) throw new Error(`an import or export of ${name} is not of a form that a host program may have`);
  return `modules["${name}"] = (() => {\n${body}\nreturn { ${exported.join(", ")} };\n})();`;
}

function located(packageName: string): string {
  return JSON.stringify(createRequire(import.meta.url).resolve(packageName));
}
