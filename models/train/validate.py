"""Accuracies during training, on scenes of the training renderer that are not trained on."""
import random

import numpy as np
import torch
import torch.nn.functional as F

from captions import say
from meanings import Clause, Meaning, facts
from pool import Pool, normalise
from render import CANVAS, SIZE
from scenes import SHAPES, relation
from tokenizer import Tokenizer
from towers import CLIP


def embed_images(model: CLIP, images: np.ndarray):
    """uint8 (N, CANVAS, CANVAS, 3), cropped at the centre -> unit vectors (N, DIM)."""
    edge = (CANVAS - SIZE) // 2
    pixels = torch.from_numpy(normalise(images[:, edge:edge + SIZE, edge:edge + SIZE]))
    return torch.cat([F.normalize(model.image(part), dim=-1) for part in pixels.split(100)])


def embed_texts(model: CLIP, tokenizer: Tokenizer, texts: list[str]):
    tokens = tokenizer(texts)
    longest = (tokens > 0).sum(1).max()
    return F.normalize(model.text(torch.from_numpy(tokens[:, :longest]).long()), dim=-1)


@torch.no_grad()
def validate(model: CLIP, pool: Pool, tokenizer: Tokenizer) -> dict[str, float]:
    """Zero-shot shape of single objects; true against opposite relation of two; the cosine of those two captions."""
    images = embed_images(model, pool.images)
    objects = pool.objects[..., 0] >= 0
    single = np.flatnonzero(objects[:, 0] & ~objects[:, 1])
    shapes = embed_texts(model, tokenizer, [f'a photo of a {shape}' for shape in SHAPES])
    right = (images[single] @ shapes.T).argmax(1).numpy() == pool.objects[single, 0, 0]

    rows, meanings = [], []
    for i in np.flatnonzero(objects[:, 1] & ~objects[:, 2]):
        a, b = facts(pool.objects[i], pool.positions[i])
        rel = relation(a, b)
        if rel is not None and a.kind != b.kind:
            rows.append(i)
            meanings.append(Meaning(Clause(*a.kind), Clause(*b.kind), rel))
    opposites = [m._replace(relation=m.relation ^ 1) for m in meanings]
    true, false = (embed_texts(model, tokenizer, [say(m, random.Random(0), plain=True) for m in some])
                   for some in (meanings, opposites))
    nearer = (images[rows] * true).sum(1) > (images[rows] * false).sum(1)
    return dict(val_shape=round(float(right.mean()), 3), val_relation=round(nearer.float().mean().item(), 3),
                cosine_of_opposites=round((true * false).sum(1).mean().item(), 3))
