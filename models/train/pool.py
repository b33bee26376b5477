"""The pool: all training images, drawn once, each scene followed by its sibling that differs in one fact."""
import multiprocessing
import os
import random
from typing import NamedTuple

import numpy as np

from render import render
from scenes import LARGE, SMALL, Scene, draw_scene, draw_sibling

MOST = 5  # objects in a scene
CHUNK = 250  # pairs that one task draws, from a seed of its own
MEAN = (0.48145466, 0.4578275, 0.40821073)  # of CLIP's published preprocessing, RGB
STD = (0.26862954, 0.26130258, 0.27577711)


class Pool(NamedTuple):
    """One row per image; rows 2i and 2i + 1 are siblings."""
    images: np.ndarray  # uint8 (N, CANVAS, CANVAS, 3)
    ids: np.ndarray  # uint8 (N, CANVAS, CANVAS): which object covers the pixel, from 1; 0 none
    objects: np.ndarray  # int8 (N, MOST, 3): shape, colour, size (0 small, 1 large, -1 between); -9 where there is none
    positions: np.ndarray  # float32 (N, MOST, 2): x, y as fractions of the visible square
    backgrounds: np.ndarray  # int64 (N,)


def scene_arrays(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    objects, positions = np.full((MOST, 3), -9, np.int8), np.zeros((MOST, 2), np.float32)
    for i, item in enumerate(scene.items):
        objects[i] = item.shape, item.colour, 0 if item.radius <= SMALL else 1 if item.radius >= LARGE else -1
        positions[i] = item.x, item.y
    return objects, positions


def draw_pool(seed: int, pairs: int) -> Pool:
    r, rows = random.Random(seed), []
    for _ in range(pairs):
        scene = draw_scene(r)
        for one in (scene, draw_sibling(r, scene)):
            image, ids, background = render(one, r)
            rows.append((image, ids, *scene_arrays(one), background))
    return Pool(*(np.stack(column) for column in zip(*rows)))


def chunk_seed(seed: int, chunk: int) -> int:
    return seed * 100003 + chunk


def validation_pool(seed: int) -> Pool:
    """400 images whose seed no training chunk reaches."""
    return draw_pool(chunk_seed(seed, 99999), 200)


def make_pool(pairs: int, seed: int, processes: int, cache: str) -> Pool:
    """Draws `pairs` pairs, a multiple of CHUNK, in parallel; `cache`: a folder that keeps them, '' for none."""
    path = f'{cache}/pool-{pairs}-{seed}.npz'
    if cache and os.path.exists(path):
        with np.load(path) as file:
            return Pool(**file)
    with multiprocessing.get_context('fork').Pool(processes) as workers:
        seeds = [(chunk_seed(seed, i), CHUNK) for i in range(pairs // CHUNK)]
        parts = workers.starmap(draw_pool, seeds, chunksize=1)
    pool = Pool(*(np.concatenate(column) for column in zip(*parts)))
    if cache:
        np.savez(path, **pool._asdict())
    return pool


def normalise(images: np.ndarray) -> np.ndarray:
    """(N, H, W, 3) from 0 to 255 -> float32 (N, 3, H, W) as the image tower takes them."""
    images = (images.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
