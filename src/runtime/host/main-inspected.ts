/** A host process like any other, except that a debugger can look into its isolates; see main.ts. */
import { FRAME } from "./frames.ts";
import { Host } from "./host.ts";
import { Inspectable } from "./inspectable.ts";
import { IsolatedVmEngine } from "./isolated-vm.ts";

Host.run({
  engine: (options) => new IsolatedVmEngine({ ...options, inspectable: new Inspectable(options.stuck) }),
  inspect: (inspector, kind, body) => {
    const session = body.readUInt32BE(0);
    if (kind === FRAME.ATTACH) inspector.attach(session);
    else if (kind === FRAME.DETACH) inspector.detach(session);
    else if (kind === FRAME.TAKEN) inspector.taken(session, body.readUInt32BE(4));
    else inspector.dispatch(session, body.toString("utf8", 4));
  },
});
