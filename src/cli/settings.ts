import type { CommandIo, FlagTable } from "./command.ts";

/** The flags of a command that reads a configuration file. */
export const CHECK_FLAGS = {
  config: { type: "string", value: "FILE", description: "Configuration file, YAML" },
  check: { type: "boolean", description: "Validate the configuration and exit without starting anything" },
} as const satisfies FlagTable;

/** A flag that stands for a setting of the configuration table. */
export function setting(
  flag: string,
  name: string,
  value: string | number | undefined,
): { flag: string; name: string; text: string | undefined } {
  return { flag, name, text: value === undefined ? undefined : String(value) };
}

/** The answer to `--check`: the configuration is valid, and what it comes to. */
export function checked(io: CommandIo & { json: boolean }, file: string | undefined, config: unknown): number {
  if (io.json) io.stdout(`${JSON.stringify({ valid: true, config })}\n`);
  else io.stdout(`${file ?? "the configuration"} is valid\n`);
  return 0;
}
