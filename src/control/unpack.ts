import { promisify } from "node:util";
import { zstdDecompress } from "node:zlib";
import { MillraceError, messageOf } from "../core/errors.ts";

/** What a batch may unpack to: as much as an unpacked one may have. A few bytes can say that they are gigabytes. */
const UNPACKED_BYTES_MAX = 4 * 1024 * 1024;
/** The first bytes of every zstd frame (RFC 8878, section 3.1.1); no CBOR map begins with them. */
const ZSTD_MAGIC = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

const decompress = promisify(zstdDecompress);

/**
 * The payload of an `events` message, unpacked if it was compressed.
 * @throws MillraceError BATCH_UNREADABLE
 */
export async function unpack(payload: Uint8Array): Promise<Uint8Array> {
  if (!ZSTD_MAGIC.equals(payload.subarray(0, ZSTD_MAGIC.length))) return payload;
  try {
    return await decompress(payload, { maxOutputLength: UNPACKED_BYTES_MAX });
  } catch (cause) {
    const text = `${payload.length} bytes of zstd do not unpack to at most ${UNPACKED_BYTES_MAX}: ${messageOf(cause)}`;
    throw new MillraceError("BATCH_UNREADABLE", text, { cause });
  }
}
