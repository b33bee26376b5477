"""OpenAI's CLIP tokenizer (openai/CLIP, clip/simple_tokenizer.py): ftfy and HTML clean-up, then byte-pair encoding."""
import gzip
import html

import ftfy
import numpy as np
import regex

CONTEXT = 77  # tokens per text, start and end included
VOCABULARY = 49408
MERGES = VOCABULARY - 2 * 256 - 2  # the file holds more; two entries per byte and two special tokens need no merge
START, END = '<|startoftext|>', '<|endoftext|>'
WORD = regex.compile(
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+", regex.I)


def byte_characters() -> dict[int, str]:
    """A printable character for every byte, so that merges can be written as text; in the order of the vocabulary."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(others)}


class Tokenizer:
    """Texts to token ids. `path`: bpe_simple_vocab_16e6.txt.gz."""

    def __init__(self, path):
        self.characters = byte_characters()
        with gzip.open(path, 'rt', encoding='utf-8') as file:
            lines = file.read().split('\n')[1:MERGES + 1]  # the first line is a version
        merges = [tuple(line.split()) for line in lines]
        letters = list(self.characters.values())
        tokens = letters + [c + '</w>' for c in letters] + [''.join(m) for m in merges] + [START, END]
        self.ids = {token: i for i, token in enumerate(tokens)}
        self.rank = {merge: i for i, merge in enumerate(merges)}
        self.sot, self.eot = self.ids[START], self.ids[END]
        self.cache = {START: [self.sot], END: [self.eot]}

    def merge(self, parts: list[str]) -> list[str]:
        """Merges the neighbours of lowest rank, everywhere in the word, until no neighbours are in the vocabulary."""
        while len(parts) > 1:
            pair = min(zip(parts, parts[1:]), key=lambda p: self.rank.get(p, len(self.rank)))
            if pair not in self.rank:
                break
            merged, i = [], 0
            while i < len(parts):
                width = 2 if tuple(parts[i:i + 2]) == pair else 1
                merged.append(''.join(parts[i:i + width]))
                i += width
            parts = merged
        return parts

    def word(self, word: str) -> list[int]:
        if word not in self.cache:
            parts = [self.characters[b] for b in word.encode('utf-8')]
            parts[-1] += '</w>'
            self.cache[word] = [self.ids[part] for part in self.merge(parts)]
        return self.cache[word]

    def clean(self, text: str) -> str:
        text = html.unescape(html.unescape(ftfy.fix_text(text)))
        return ' '.join(text.split()).lower()

    def encode(self, text: str, clean=True) -> list[int]:
        """At most CONTEXT ids; a longer text keeps its end token. `clean=False`: the text is known to be clean."""
        text = self.clean(text) if clean else text
        ids = [self.sot] + [i for word in WORD.findall(text) for i in self.word(word)] + [self.eot]
        return ids if len(ids) <= CONTEXT else ids[:CONTEXT - 1] + [self.eot]

    def __call__(self, texts: list[str]) -> np.ndarray:
        """int32 (len(texts), CONTEXT), padded with 0."""
        out = np.zeros((len(texts), CONTEXT), np.int32)
        for row, text in zip(out, texts):
            ids = self.encode(text)
            row[:len(ids)] = ids
        return out
