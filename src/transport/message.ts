import { z } from 'zod';
import { ClipflowError } from '../errors.js';
import { JsonObjectSchema } from '../json.js';
import type { Message } from './transport.js';

/**
 * A message on the wire: u32 length of the preamble, the preamble `{"header": {...}, "parts": [length, ...]}` as JSON,
 * then the parts one after the other. Integers are little-endian.
 */
const Preamble = z.object({
  header: JsonObjectSchema,
  parts: z.array(z.int().nonnegative()),
});

/** The message as chunks whose concatenation is its wire form; parts are not copied. */
export function encodeMessage(message: Message): Uint8Array[] {
  const preamble = Buffer.from(
    JSON.stringify({ header: message.header, parts: message.parts.map((part) => part.byteLength) }),
  );
  const head = Buffer.allocUnsafe(4 + preamble.length);
  head.writeUInt32LE(preamble.length, 0);
  preamble.copy(head, 4);
  return [head, ...message.parts];
}

/** Parts are views of `bytes`. */
export function decodeMessage(bytes: Uint8Array): Message {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer.length < 4) throw malformed('it is shorter than its length field');
  const start = 4 + buffer.readUInt32LE(0);
  if (start > buffer.length) throw malformed('its preamble is cut');
  const preamble = parsePreamble(buffer.toString('utf8', 4, start));
  let offset = start;
  const parts = preamble.parts.map((length) => {
    const part = bytes.subarray(offset, offset + length);
    offset += length;
    return part;
  });
  if (offset !== bytes.byteLength) throw malformed('its parts do not add up to its length');
  return { header: preamble.header, parts };
}

function parsePreamble(text: string): z.infer<typeof Preamble> {
  try {
    return Preamble.parse(JSON.parse(text));
  } catch (cause) {
    throw new ClipflowError('INTERNAL', 'a message on the transport has a malformed preamble', { cause });
  }
}

function malformed(why: string): ClipflowError {
  return new ClipflowError('INTERNAL', `a message on the transport is malformed: ${why}`);
}
