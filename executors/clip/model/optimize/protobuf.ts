import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/** A field of a protobuf message, as views of the message. */
export interface Field {
  number: number;
  /** Tag, length and content. */
  raw: Uint8Array;
  /** What a length-delimited field holds, or the bytes of a number. */
  content: Uint8Array;
}

/** @throws RangeError or Error where the bytes are no message */
export function* fields(message: Uint8Array): Generator<Field> {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const [number, wireType] = reader.tag();
    const content = wireType === WireType.LengthDelimited ? reader.bytes() : reader.skip(wireType, number);
    yield { number, raw: message.subarray(start, reader.pos), content };
  }
}

/** Contents of the fields with this number, in their order. */
export function contents(message: Uint8Array, number: number): Uint8Array[] {
  return [...fields(message)].filter((field) => field.number === number).map(({ content }) => content);
}

/** Texts of the fields with this number, in their order. */
export function texts(message: Uint8Array, number: number): string[] {
  return contents(message, number).map((content) => Buffer.from(content).toString());
}

/** Integers of the fields with this number, packed or not. */
export function integers(message: Uint8Array, number: number): bigint[] {
  return contents(message, number).flatMap((content) => {
    const reader = new BinaryReader(content);
    const values: bigint[] = [];
    while (reader.pos < reader.len) values.push(BigInt(reader.int64()));
    return values;
  });
}

/** A length-delimited field whose content is given in parts, which are not copied. */
export function nested(number: number, parts: readonly Uint8Array[]): Uint8Array[] {
  const bytes = parts.reduce((sum, part) => sum + part.length, 0);
  return [new BinaryWriter().tag(number, WireType.LengthDelimited).uint32(bytes).finish(), ...parts];
}

/** The parts of a message in which the contents of the fields at `path` (field numbers, outermost first) are mapped. */
export function mapContents(
  message: Uint8Array,
  path: readonly number[],
  map: (content: Uint8Array) => readonly Uint8Array[],
): readonly Uint8Array[] {
  const [first, ...deeper] = path;
  if (first === undefined) return map(message);
  return [...fields(message)].flatMap(({ number, raw, content }) =>
    number === first ? nested(number, mapContents(content, deeper, map)) : [raw],
  );
}

/** Joins the parts in a buffer that holds nothing else, so that it can move to another thread. */
export function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}
