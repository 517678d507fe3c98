import { execFileSync } from "node:child_process";

/** A client that others have written, as Debian packages it. */
export interface OtherClient {
  readonly debianPackage: string;
  readonly isHere: boolean;
}

/** Set by checks that install the clients: there one that is missing is a failure. */
const areRequired = process.env["OTHER_CLIENTS"] === "required";

export const MOSQUITTO: OtherClient = {
  debianPackage: "mosquitto-clients",
  isHere: ["mosquitto_pub", "mosquitto_sub", "mosquitto_rr"].every((tool) => runs(tool, "--help")),
};

/** Debian's modules are those of Debian's Python, which need not be the first one in the path. */
const python = ["python3", "/usr/bin/python3"].find((each) => runs(each, "-c", "import paho.mqtt.client"));

export const PAHO: OtherClient & { readonly python: string } = {
  debianPackage: "python3-paho-mqtt",
  isHere: python !== undefined,
  python: python ?? "python3",
};

/** Whether the tests with a client are to be skipped, which a line says. */
export function isMissing({ debianPackage, isHere }: OtherClient): boolean {
  if (isHere || areRequired) return false;
  process.stderr.write(`skipped: these tests need the Debian package ${debianPackage}\n`);
  return true;
}

function runs(command: string, ...args: readonly string[]): boolean {
  try {
    execFileSync(command, args, { stdio: "ignore" });
    return true;
  } catch (error) {
    // The help of mosquitto ends with 1.
    return error instanceof Error && "status" in error && typeof error.status === "number" && command.startsWith("mosquitto");
  }
}
