/**
 * The host process. It has no descriptor that leads anywhere but the pipe to its gateway, no environment, and Node's permission model keeps it
 * from files, network, processes and threads.
 */
import { Host } from "./host.ts";
import { IsolatedVmEngine } from "./isolated-vm.ts";

Host.run({ engine: (options) => new IsolatedVmEngine(options) });
