#!/usr/bin/env python3
"""Measures an exported model with onnxruntime on images of the second renderer.

    python samples.py --out heldout --count 1200 --seed 5
    python evaluate.py --model ../tiny-clip --data heldout            # prints the accuracies
    python evaluate.py --model DIR --data heldout --write             # and puts them into DIR/config.json
    python evaluate.py --model DIR --reference                        # DIR/reference.json from DIR/samples
"""
import argparse
import json
import os

import numpy as np

from captions import NUMBERS, RELATION_WORDS, article, phrase, plural
from published import Published, unit
from reference import write_reference
from scenes import RELATIONS


def share(right) -> float:
    return round(float(np.mean(right)), 4)


class Evaluation:
    """One folder of samples: their descriptions and unit embeddings; the methods return named accuracies."""

    def __init__(self, model: Published, folder: str):
        with open(f'{folder}/captions.json') as file:
            self.items = json.load(file)
        self.model, self.shapes, self.colours = model, model.config['shapes'], model.config['colours']
        self.images = unit(model.embed_images([f'{folder}/{d["file"]}' for d in self.items]))

    def texts(self, texts: list[str]) -> np.ndarray:
        return unit(self.model.embed_texts(texts))

    def of_kind(self, kind: str) -> list[int]:
        return [i for i, d in enumerate(self.items) if d['kind'] == kind]

    def zero_shot(self, name: str, rows: list[int], prompts: list[str], labels: list[int]) -> dict:
        """One prompt per class; `labels`: the class of each row."""
        nearest = (self.images[rows] @ self.texts(prompts).T).argmax(1)
        return {name: share(nearest == labels), name + '_n': len(rows)}

    def singles(self) -> dict:
        rows = self.of_kind('single')
        shape = [self.shapes.index(self.items[i]['shape']) for i in rows]
        colour = [self.colours.index(self.items[i]['colour']) for i in rows]
        kinds = [article(f'{c} {s}') for c in self.colours for s in self.shapes]
        kind = [c * len(self.shapes) + s for s, c in zip(shape, colour)]
        return {
            **self.zero_shot('shape', rows, [f'a photo of {article(s)}' for s in self.shapes], shape),
            **self.zero_shot('shape_bare_word', rows, self.shapes, shape),
            **self.zero_shot('colour', rows, [f'a photo of {article(c + " object")}' for c in self.colours], colour),
            **self.zero_shot('colour_bare_word', rows, self.colours, colour),
            **self.zero_shot(f'shape_and_colour_{len(kinds)}way', rows, kinds, kind)}

    def counts(self) -> dict:
        rows, numbers = self.of_kind('count'), range(1, 6)
        label = [self.items[i]['count'] - 1 for i in rows]
        nouns = ['object' + 's' * (k > 1) for k in numbers]
        words = [f'a picture with {NUMBERS[k]} {noun}' for k, noun in zip(numbers, nouns)]
        digits = [f'{k} {noun}' for k, noun in zip(numbers, nouns)]
        named = []  # 'three blue squares' against the same words with another number
        for i, right in zip(rows, label):
            d = self.items[i]
            texts = [phrase(NUMBERS[k], d['colour'], d['shape'] if k == 1 else plural(d['shape'])) for k in numbers]
            named.append((self.texts(texts) @ self.images[i]).argmax() == right)
        return {**self.zero_shot('count', rows, words, label), **self.zero_shot('count_digits', rows, digits, label),
                'count_named': share(named)}

    def relations(self) -> dict:
        """Against the opposite relation, against the same with the nouns swapped, among all four relations."""
        rows, opposite, swapped, four = self.of_kind('relation'), [], [], []
        for i in rows:
            d = self.items[i]
            a, b = article(phrase(d['colour'], d['shape'])), article(phrase(d['colour2'], d['shape2']))
            right, words = RELATIONS.index(d['relation']), [names[0] for names in RELATION_WORDS]
            texts = [f'{a} {w} {b}' for w in words] + [f'{b} {words[right]} {a}']
            scores = self.texts(texts) @ self.images[i]
            opposite.append(scores[right] > scores[right ^ 1])
            swapped.append(scores[right] > scores[-1])
            four.append(scores[:-1].argmax() == right)
        return dict(relation=share(opposite), relation_n=len(rows), relation_swapped_nouns=share(swapped),
                    relation_four_way=share(four))

    def retrieval(self) -> dict:
        """Recall among up to 100 scenes, no caption of which fits another scene; up to ten such groups."""
        rng, items = np.random.RandomState(0), self.items
        size, groups = min(100, len(items) // 2), max(1, min(10, len(items) // 100))
        text_1, text_5, image_1 = [], [], []
        for _ in range(groups):
            pick = []
            for i in rng.permutation(len(items)):
                if not any(describes(items[i], items[j]) or describes(items[j], items[i]) for j in pick):
                    pick.append(i)
                if len(pick) == size:
                    break
            scores = self.texts([items[i]['caption'] for i in pick]) @ self.images[pick].T
            rank = (scores > scores.diagonal()[:, None]).sum(1)
            text_1.append(np.mean(rank == 0))
            text_5.append(np.mean(rank < 5))
            image_1.append(np.mean(scores.argmax(0) == np.arange(len(pick))))
        return dict(retrieval_scenes=len(pick), retrieval_groups=groups, text_to_image_recall_at_1=share(text_1),
                    text_to_image_recall_at_5=share(text_5), image_to_text_recall_at_1=share(image_1))

    def run(self) -> dict:
        return dict(images=len(self.items)) | self.singles() | self.counts() | self.relations() | self.retrieval()


def describes(query: dict, scene: dict) -> bool:
    """Is the caption of `query` certainly or possibly true of `scene`?"""
    if query['kind'] == 'relation':
        if scene['kind'] != 'relation':
            return False
        first, second = (scene['shape'], scene['colour']), (scene['shape2'], scene['colour2'])
        asked = (query['shape'], query['colour']), (query['shape2'], query['colour2'])
        return asked in ((first, second), (second, first))

    def same(shape, colour):
        return shape == query['shape'] and (query['colour'] is None or colour is None or colour == query['colour'])

    if scene['kind'] == 'relation':
        either = same(scene['shape'], scene['colour']) or same(scene['shape2'], scene['colour2'])
        return query['count'] == 1 and either
    return query['count'] in (1, scene['count']) and same(scene['shape'], scene['colour'])


if __name__ == '__main__':
    parser = argparse.ArgumentParser()
    parser.add_argument('--model', required=True, help='model folder')
    parser.add_argument('--data', nargs='*', default=[], help='folders that samples.py wrote')
    parser.add_argument('--write', action='store_true', help='put the accuracies into config.json')
    parser.add_argument('--reference', action='store_true', help='write reference.json')
    options = parser.parse_args()
    published = Published(options.model)
    results = {os.path.basename(os.path.normpath(folder)): Evaluation(published, folder).run()
               for folder in options.data}
    print(json.dumps(results, indent=1))
    if options.write:
        published.config['accuracy'] = (published.config.get('accuracy') or {}) | results
        with open(f'{options.model}/config.json', 'w') as config:
            json.dump(published.config, config, indent=1)
    if options.reference:
        write_reference(published, f'{options.model}/samples', f'{options.model}/reference.json')
