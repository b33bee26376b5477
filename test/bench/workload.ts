import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../src/version.js';

/** `long-text` fills CLIP's context of 77 tokens. */
export const MODALITIES = ['text', 'long-text', 'image'] as const;
export type Modality = (typeof MODALITIES)[number];

/** What is embedded: a text, or an encoded image. */
export type Content = { text: string } | { image: Uint8Array };

/** Documents of each modality; a multiple of every batch size that is measured. */
const DOCUMENTS = 96;

const SUBJECTS = ['a brown dog', 'two red bicycles', 'an old sailing boat', 'the skyline of a city', 'a bowl of fruit'];
const PLACES = [
  'on a beach',
  'in heavy rain',
  'beside a wooden fence',
  'under a bright blue sky',
  'at night, from above',
];
const STYLES = ['a photo of', 'a blurry picture of', 'a painting in oil that shows', 'a close-up of'];

const CONTEXT_TOKENS = 77;

/** The same documents in every run: captions of some ten words, and the drawn pictures (JPEG, PNG) of tiny-clip. */
export function contents(modality: Modality): Content[] {
  if (modality === 'text') return Array.from({ length: DOCUMENTS }, (_, i) => ({ text: caption(i) }));
  if (modality === 'long-text') {
    const texts = textsOfTokens(CONTEXT_TOKENS);
    return Array.from({ length: DOCUMENTS }, (_, i) => ({ text: at(texts, i) }));
  }
  const folder = join(PACKAGE_ROOT, 'models', 'tiny-clip', 'samples');
  const files = readdirSync(folder).filter((name) => /\.(jpg|png)$/.test(name));
  const images = files.sort().map((name) => ({ image: readFileSync(join(folder, name)) }));
  return Array.from({ length: DOCUMENTS }, (_, i) => at(images, i));
}

function caption(i: number): string {
  return `${at(STYLES, i)} ${at(SUBJECTS, i)} ${at(PLACES, Math.floor(i / SUBJECTS.length))}`;
}

/** Each a single token in CLIP's vocabulary. */
const WORDS = (
  'dog cat house tree red blue green boat city street light water beach snow rain sky mountain flower bird horse ' +
  'train car road bridge woman man child table chair window door garden'
).split(' ');

/** As many texts as there are words, all different, each of so many tokens with start and end (at least three). */
export function textsOfTokens(tokens: number): string[] {
  return WORDS.map((_, i) => Array.from({ length: tokens - 2 }, (_, j) => at(WORDS, i + j)).join(' '));
}

/** Goes round. */
function at<T>(list: readonly T[], index: number): T {
  const item = list[index % list.length];
  if (item === undefined) throw new Error('the workload is empty');
  return item;
}
