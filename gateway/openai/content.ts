import { z } from 'zod';
import { Document } from '../../src/document/document.js';
import { NdArray } from '../../src/document/ndarray.js';
import { orThrow, ParameterError } from './errors.js';

/** Something to embed, and which parameter it came as. */
export interface Content {
  parameter: string;
  kind: 'text' | 'image';
  /** DocumentProto. */
  doc: Uint8Array;
}

/** What a bare string is. */
export type Modality = 'text' | 'image';

const Tokens = z.array(z.int().min(0).max(0x7fffffff)).min(1);
const TextObject = z.object({ text: z.string() });
const ImageObject = z.object({ image: z.string() });

/** `input` of embeddings: one content or several, or what is wrong with each. Numbers are one content, a tokenized text. */
export function readInput(input: unknown, modality: Modality): (Content | ParameterError)[] {
  if (Array.isArray(input) && typeof input[0] !== 'number') return readEach(input, 'input', modality);
  return [attempt(() => readContent(input, 'input', modality))];
}

/** @throws ParameterError when there is none, or one is wrong */
export function readContents(values: readonly unknown[], parameter: string): Content[] {
  return readEach(values, parameter, 'text').map(orThrow);
}

function readEach(values: readonly unknown[], parameter: string, modality: Modality): (Content | ParameterError)[] {
  if (values.length === 0) throw new ParameterError(parameter, 'must not be empty');
  return values.map((value, index) => attempt(() => readContent(value, `${parameter}[${index}]`, modality)));
}

function attempt<T>(read: () => T): T | ParameterError {
  try {
    return read();
  } catch (error) {
    if (error instanceof ParameterError) return error;
    throw error;
  }
}

/** A string, the tokens of one, `{"text": ...}` or `{"image": url, data uri or base64}`. */
export function readContent(value: unknown, parameter: string, modality: Modality = 'text'): Content {
  if (typeof value === 'string') return modality === 'text' ? text(value, parameter) : image(value, parameter);
  const tokens = Tokens.safeParse(value);
  if (tokens.success) return tokenized(tokens.data, parameter);
  const textObject = TextObject.safeParse(value);
  if (textObject.success) return text(textObject.data.text, parameter);
  const imageObject = ImageObject.safeParse(value);
  if (imageObject.success) return image(imageObject.data.image, parameter);
  throw new ParameterError(parameter, 'expected a string, an array of tokens, {"text": ...} or {"image": ...}');
}

function text(value: string, parameter: string): Content {
  if (value === '') throw new ParameterError(parameter, 'must not be an empty string');
  return { parameter, kind: 'text', doc: new Document({ text: value }).toBytes() };
}

function tokenized(ids: readonly number[], parameter: string): Content {
  const buffer = Buffer.alloc(4 * ids.length);
  ids.forEach((id, index) => buffer.writeInt32LE(id, 4 * index));
  const doc = new Document({ tensor: new NdArray(buffer, [ids.length], '<i4') });
  return { parameter, kind: 'text', doc: doc.toBytes() };
}

const URI = /^[a-z][a-z0-9+.-]*:/i;
const BASE64 = /^[A-Za-z0-9+/\s]+={0,2}\s*$/;

/** Which uris are fetched is the flow's to say. */
function image(value: string, parameter: string): Content {
  const at = { parameter, kind: 'image' as const };
  if (URI.test(value)) return { ...at, doc: new Document({ uri: value }).toBytes() };
  if (!BASE64.test(value)) throw new ParameterError(parameter, 'expected a url, a data uri or base64 of an image');
  return { ...at, doc: new Document({ blob: Buffer.from(value, 'base64') }).toBytes() };
}
