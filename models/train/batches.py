"""Training batches: random crops and flips of pool images, fresh captions for them, and all targets."""
import queue
import random
import threading
from typing import NamedTuple

import numpy as np

from captions import say
from meanings import facts, false_meaning, full_meaning, part_meaning
from pool import MOST, Pool, normalise
from render import CANVAS, SIZE
from tokenizer import Tokenizer
from truth import truth, where_captions, where_scenes

PATCH = 8  # pixels; the image tower sees a grid of GRID x GRID patches
GRID = SIZE // PATCH


class Batch(NamedTuple):
    """B images (siblings side by side), T captions of them."""
    images: np.ndarray  # float32 (B, 3, SIZE, SIZE)
    tokens: np.ndarray  # int64 (T, longest), padded with 0
    weights: np.ndarray  # float32 (B, T): 1 for an image's own captions, .3 for others that are true of it, else 0
    negatives: np.ndarray  # bool (B, T): certainly false
    patches: np.ndarray  # int64 (B, patches, 2): shape + 1 and colour + 1 of what a patch shows, 0 background
    counts: np.ndarray  # int64 (B,): objects
    sides: np.ndarray  # float32 (B, patches, 2): where, of two objects, this patch's lies: -1 left/above, 1 right/below
    where_images: np.ndarray  # float32 (B, WHERE)
    where_texts: np.ndarray  # float32 (T, WHERE)
    opposites: np.ndarray  # int64 (K, 3): image, its true caption, the caption with the opposite relation
    flipped: np.ndarray  # int64 (L, 3): caption, the image it is true of, the sibling image it is false of


class Batches:
    """Prepares batches ahead in a thread; take them from `queue`."""

    def __init__(self, pool: Pool, tokenizer: Tokenizer, size: int, seed: int):
        self.pool, self.tokenizer, self.size = pool, tokenizer, size
        self.r, self.g = random.Random(seed), np.random.RandomState(seed)
        self.order = np.array([], int)
        self.queue = queue.Queue(3)

    def start(self) -> 'Batches':
        threading.Thread(target=self.fill, daemon=True).start()
        return self

    def fill(self):
        while True:
            self.queue.put(self.make())

    def make(self) -> Batch:
        pool = self.augment(self.take())
        owners = patch_owners(pool.ids)
        tokens, meanings, own, opposites = self.write(pool)
        certain, possible = truth(pool.objects, pool.positions, pool.backgrounds, meanings)
        weights = np.where(certain, .3, 0).astype(np.float32)
        for image, caption in own:
            weights[image, caption] = 1.
        flipped = [(t, i, i ^ 1) for i, t, _ in opposites if not possible[i ^ 1, t]]
        return Batch(
            images=normalise(pool.images), tokens=tokens, weights=weights, negatives=~possible & (weights == 0),
            patches=patch_targets(owners, pool.objects), counts=(pool.objects[..., 0] >= 0).sum(1),
            sides=side_targets(owners, pool), where_images=where_scenes(pool.objects, pool.positions),
            where_texts=where_captions(meanings), opposites=index_rows(opposites), flipped=index_rows(flipped))

    def take(self) -> Pool:
        """The next pairs in an order that is shuffled anew whenever it runs out."""
        half = self.size // 2
        if len(self.order) < half:
            self.order = self.g.permutation(len(self.pool.images) // 2)
        pairs, self.order = self.order[:half], self.order[half:]
        rows = np.stack([2 * pairs, 2 * pairs + 1], 1).ravel()
        return Pool(*(column[rows] for column in self.pool))

    def augment(self, pool: Pool) -> Pool:
        """Flips, crops to SIZE and changes contrast, tint and brightness a little; images become float32."""
        images, ids, objects, positions, backgrounds = pool
        g, n = self.g, self.size
        flip = g.rand(n) < .5
        images[flip], ids[flip] = images[flip, :, ::-1], ids[flip, :, ::-1]
        positions[flip, :, 0] = 1 - positions[flip, :, 0]
        left, top = g.randint(0, CANVAS - SIZE + 1, n), g.randint(0, CANVAS - SIZE + 1, n)
        images, ids = (np.stack([one[y:y + SIZE, x:x + SIZE] for one, x, y in zip(column, left, top)])
                       for column in (images, ids))
        contrast = g.uniform(.9, 1.1, (n, 1, 1, 1)) * g.uniform(.97, 1.03, (n, 1, 1, 3))
        brightness = 128 + g.uniform(-10, 10, (n, 1, 1, 1))
        images = (images.astype(np.float32) - 128) * contrast.astype(np.float32) + brightness.astype(np.float32)
        return Pool(np.clip(images, 0, 255), ids, objects, positions, backgrounds)

    def write(self, pool: Pool):
        """Four or five captions per image: all of it, a part of it, one that is likely false, the opposite relation.

        Returns tokens; the meaning of each caption; own [(image, caption)]; opposites as in Batch.
        """
        r, captions, meanings, own, opposites = self.r, {}, [], [], []
        for i in range(self.size):
            known, code = facts(pool.objects[i], pool.positions[i]), int(pool.backgrounds[i])
            full = full_meaning(known, code, r)
            words, false = r.random(), false_meaning(full, r)
            said = [full, part_meaning(known, code, r), false]
            if full.relation >= 0:
                said.append(full._replace(relation=full.relation ^ 1))
            rows = []
            for j, meaning in enumerate(said):
                # the same random words for the true and the false ones, so that wording gives nothing away
                caption = say(meaning, r if j == 1 else random.Random(words))
                if caption not in captions:
                    captions[caption] = len(meanings)
                    meanings.append(meaning)
                rows.append(captions[caption])
            own += [(i, rows[0]), (i, rows[1])]
            if full.relation >= 0:
                opposites.append((i, rows[0], rows[3]))
        ids = [self.tokenizer.encode(caption, clean=False) for caption in captions]
        tokens = np.zeros((len(ids), max(map(len, ids))), np.int64)
        for row, caption in zip(tokens, ids):
            row[:len(caption)] = caption
        return tokens, meanings, own, opposites


def patch_owners(ids: np.ndarray) -> np.ndarray:
    """int64 (B, patches): the object that a patch shows most, from 0; MOST where none covers 8 of its 64 pixels."""
    n = len(ids)
    patches = ids.reshape(n, GRID, PATCH, GRID, PATCH).transpose(0, 1, 3, 2, 4).reshape(n, GRID * GRID, PATCH * PATCH)
    covered = np.stack([(patches == i).sum(-1) for i in range(1, MOST + 1)], -1)
    return np.where(covered.max(-1) >= 8, covered.argmax(-1), MOST)


def patch_targets(owners: np.ndarray, objects: np.ndarray) -> np.ndarray:
    with_none = np.concatenate([objects, np.full((len(objects), 1, 3), -1, np.int8)], 1)
    return with_none[np.arange(len(objects))[:, None], owners][..., :2].astype(np.int64) + 1


def side_targets(owners: np.ndarray, pool: Pool) -> np.ndarray:
    step = pool.positions[:, 1] - pool.positions[:, 0]
    just_two = (pool.objects[:, 1:2, 0] >= 0) & (pool.objects[:, 2:3, 0] < 0)
    step = np.where((np.abs(step) > .06) & just_two, np.sign(step), 0).astype(np.float32)
    return step[:, None] * np.select([owners == 0, owners == 1], [-1, 1], 0).astype(np.float32)[..., None]


def index_rows(rows: list[tuple[int, int, int]]) -> np.ndarray:
    return np.array(rows or np.zeros((0, 3)), int)
