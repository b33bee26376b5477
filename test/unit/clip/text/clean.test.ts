import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { z } from 'zod';
import { cleanText } from '../../../../executors/clip/text/clean.js';
import { fixText } from '../../../../executors/clip/text/ftfy/fix-text.js';
import { unescapeHtml } from '../../../../executors/clip/text/html-unescape.js';
import { CORPUS, readJson } from './fixtures.js';

describe('cleanText', () => {
  test('gives what Python gives, for each text of the corpus', () => {
    for (const { text, clean } of CORPUS) assert.equal(cleanText(text), clean, JSON.stringify(text));
  });

  test("gives what open_clip's other cleanings give", () => {
    const Cleaned = z.array(z.object({ text: z.string(), whitespace: z.string(), canonicalize: z.string() }));
    for (const { text, ...cleaned } of readJson('test/fixtures/tokens/cleanings.json', Cleaned)) {
      assert.equal(cleanText(text, 'whitespace'), cleaned.whitespace, JSON.stringify(text));
      assert.equal(cleanText(text, 'canonicalize'), cleaned.canonicalize, JSON.stringify(text));
    }
  });

  test('plain ASCII takes a shorter way to the same', () => {
    // U+00A0 at the end keeps a text off the short way and is stripped again.
    const ascii = fc.string({ unit: fc.constantFrom(...' \t\nabcXYZ019.,!?\'"<>()[]-_#@;:/\\~`') });
    fc.assert(fc.property(ascii, (text) => assert.equal(cleanText(text), cleanText(`${text}\u00a0`))));
  });

  test('leaves no upper case, no white space but single blanks, no lone surrogate', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 0xffff })), (codes) => {
        const clean = cleanText(String.fromCharCode(...codes));
        assert.equal(clean, clean.toLowerCase());
        assert.doesNotMatch(clean, /^ | $| {2}|[\t-\r\x85\xa0\u2000-\u200a\u3000]|\p{Surrogate}/u);
      }),
    );
  });
});

describe('fixText', () => {
  test('is done when it is done', () => {
    for (const { text } of CORPUS) {
      const fixed = fixText(text);
      // Fixed text may hold entities that a '<' had protected, so only texts without markup.
      if (!/[<&]/.test(text)) assert.equal(fixText(fixed), fixed, JSON.stringify(text));
    }
  });

  test('undoes UTF-8 read as Latin-1', () => {
    // What ftfy's documentation shows.
    for (const [mojibake, text] of [
      ['âœ” No problems', '✔ No problems'],
      ['&macr;\\_(ã\x83\x84)_/&macr;', '¯\\_(ツ)_/¯'],
      ['Broken text&hellip; it&#x2019;s ﬂubberiﬁc!', "Broken text… it's flubberific!"],
      ['ＬＯＵＤ　ＮＯＩＳＥＳ', 'LOUD NOISES'],
      ['P&EACUTE;REZ', 'PÉREZ'],
    ] as const) {
      assert.equal(fixText(mojibake), text);
    }
  });
});

describe('unescapeHtml', () => {
  test("gives what Python's html.unescape gives", () => {
    const pairs = readJson('test/fixtures/tokens/html.json', z.array(z.tuple([z.string(), z.string()])));
    assert.ok(pairs.length > 50);
    for (const [text, expected] of pairs) assert.equal(unescapeHtml(text), expected, text);
  });

  test('changes nothing without an ampersand', () => {
    fc.assert(
      fc.property(fc.string(), (text) =>
        assert.equal(unescapeHtml(text.replaceAll('&', '')), text.replaceAll('&', '')),
      ),
    );
  });
});
