import { z } from "zod";
import type { ReplayResult } from "../../core/stats.ts";
import { invokeResultSchema } from "./gateway-schemas.ts";

const replayResult = z.object({
  seq: z.int(),
  time: z.number(),
  topic: z.string(),
  key: z.string(),
  ...invokeResultSchema.shape,
}) satisfies z.ZodType<ReplayResult>;

export const replayAnswers = {
  begun: z.object({ id: z.string(), function: z.string(), version: z.int() }),
  /** `taken` of the messages are done with; the rest has to be sent again. */
  page: z.object({ taken: z.int(), results: z.array(replayResult) }),
  ended: z.object({ ended: z.literal(true) }),
};

export const handedInSchema = z.object({ handedIn: z.int() });
