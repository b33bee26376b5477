"""Which captions hold for which scenes, and the targets of the `where` heads."""
import numpy as np

from meanings import Clause, Meaning
from scenes import COLOURS, NO_NAME, SHAPES

WHERE = 2 * (len(COLOURS) + len(SHAPES))  # targets of the `where` heads per scene or caption
STEP = [(1, 0), (-1, 0), (0, 1), (0, -1)]  # by relation: from the first thing to the second


def where(pairs) -> np.ndarray:
    """Targets of the `where` heads: for each colour's and shape's name, whether that thing lies left (-1) or right (+1)
    of the other thing, and above (-1) or below (+1) it; 0 says nothing. Scenes and captions share the targets.

    pairs: per row None or (kind, kind, dx, dy), from the first thing to the second. Returns float32 (rows, WHERE).
    """
    out = np.zeros((len(pairs), WHERE // 2, 2), np.float32)
    for row, pair in zip(out, pairs):
        if pair:
            first, second, *step = pair
            for field, base in ((1, 0), (0, len(COLOURS))):
                u, v = first[field], second[field]
                if u != v and min(u, v) >= 0:
                    row[base + v] = [np.sign(d) if abs(d) > .06 else 0 for d in step]
                    row[base + u] = -row[base + v]
    return out.reshape(-1, WHERE)


def where_scenes(objects: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Targets of scenes with exactly two objects; zeros for the others."""
    return where([(o[0, :2], o[1, :2], *(p[1] - p[0])) if o[1, 0] >= 0 > o[2, 0] else None
                  for o, p in zip(objects, positions)])


def where_captions(meanings: list[Meaning]) -> np.ndarray:
    return where([(m.first[:2], m.second[:2], *STEP[m.relation]) if m.relation >= 0 else None for m in meanings])


def clause_truth(clauses: list[Clause], bare: np.ndarray, objects: np.ndarray):
    """Of every scene and clause: does it certainly hold, could it, and which objects certainly fit.

    A size between small and large may fit both. 'A red circle' is certain of one red circle only, possible of several.
    Returns bool (B, T), (B, T), (B, T, 5).
    """
    shape, colour, size, k = (np.array(values, np.int8)[None, :, None] for values in zip(*clauses))
    shapes, colours, sizes = (objects[:, None, :, f] for f in range(3))
    kind = (shapes >= 0) & ((shape == -1) | (shapes == shape)) & ((colour == -1) | (colours == colour))
    sure, maybe = kind & ((size == -1) | (sizes == size)), kind & ((size == -1) | (sizes == size) | (sizes == -1))
    low, high, k = sure.sum(-1), maybe.sum(-1), k[..., 0]
    certain = np.where(k > 0, (low == k) & (high == k), (low >= 1) & ((high == 1) | bare[None]))
    possible = np.where(k > 0, (low <= k) & (k <= high), high >= 1)
    return certain, possible, sure


def truth(objects: np.ndarray, positions: np.ndarray, codes: np.ndarray, meanings: list[Meaning]):
    """(certain, possible): for every scene x meaning, is it true / could it be called true. bool (B, T) each.

    objects int8 (B, 5, 3), positions float32 (B, 5, 2), codes (B,): the arrays of pool.py.
    """
    bare = np.array([m.bare for m in meanings])
    two = np.array([m.second is not None for m in meanings])
    first = [m.first for m in meanings]
    certain, possible, a_fits = clause_truth(first, bare, objects)
    # a colour alone may also be the background's
    only_colour = np.array([c.count == 0 and c.shape == -1 and c.colour >= 0 for c in first])
    colour = np.array([c.colour for c in first])
    unnamed = (codes[:, None] == NO_NAME) | (codes[:, None] >= len(COLOURS))  # may look like any colour
    possible |= only_colour & ((codes[:, None] == colour) | unnamed)

    second = [m.second or Clause(-1, -1) for m in meanings]
    b_certain, b_possible, b_fits = clause_truth(second, bare, objects)
    certain &= b_certain | ~two
    possible &= b_possible | ~two

    relation = np.array([m.relation for m in meanings])
    t = np.flatnonzero(relation >= 0)
    if len(t):
        d = positions[:, None] - positions[:, :, None]  # [scene, i, j]: position of j minus position of i
        along = np.stack([d[..., 0], -d[..., 0], d[..., 1], -d[..., 1]], 1)
        across = np.stack([np.abs(d[..., 1])] * 2 + [np.abs(d[..., 0])] * 2, 1)
        sure, could = (along > .16) & (along > 1.25 * across), along > .03  # as scenes.relation
        pair = a_fits[:, t, :, None] & b_fits[:, t, None, :]
        certain[:, t] &= (pair & sure[:, relation[t]]).any((-1, -2))
        possible[:, t] &= (pair & could[:, relation[t]]).any((-1, -2))

    asked = np.array([m.background for m in meanings])
    certain &= (asked < 0) | (codes[:, None] == asked)
    possible &= ((asked < 0) | (codes[:, None] == asked) | (codes[:, None] == NO_NAME)
                 | ((codes[:, None] >= len(COLOURS)) & (asked < len(COLOURS))))
    return certain, possible | certain
