import type { Children } from "./children.ts";
import type { BenchOptions } from "./options.ts";
import type { Row } from "./report.ts";

/** Starts what it measures as `children`, keeps its data in `folder`, and returns what it found. */
export type Benchmark = (options: BenchOptions, children: Children, folder: string) => Promise<readonly Row[]>;
