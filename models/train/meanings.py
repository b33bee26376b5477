"""What can be said about a scene.

A caption's meaning is kept beside its words, so that truth.py can decide which captions of a batch hold for which
scenes. As in scenes.py, the order of the calls to `r` (random.Random) is part of the recipe.
"""
from typing import NamedTuple

from scenes import BACKGROUNDS, NO_NAME, RELATIONS, other_colour, other_shape, relation


class Fact(NamedTuple):
    """What a caption may know of an object; size 0 small, 1 large, -1 between."""
    shape: int
    colour: int
    size: int
    x: float
    y: float

    @property
    def kind(self):
        return self[:2]


class Clause(NamedTuple):
    """'three small red stars'. -1: not said. Count 0: 'a ...', k: exactly k."""
    shape: int
    colour: int
    size: int = -1
    count: int = 0


class Meaning(NamedTuple):
    first: Clause
    second: Clause | None = None
    relation: int = -1
    background: int = NO_NAME
    bare: bool = False  # only the shape's or the colour's name


def facts(objects, positions) -> list[Fact]:
    """The facts of one scene from its arrays (see pool.py)."""
    return [Fact(int(o[0]), int(o[1]), int(o[2]), float(p[0]), float(p[1]))
            for o, p in zip(objects, positions) if o[0] >= 0]


def count(known: list[Fact], shape: int, colour: int, size=-1) -> int:
    return sum((shape < 0 or o.shape == shape) and (colour < 0 or o.colour == colour) and (size < 0 or o.size == size)
               for o in known)


def clause_of(kind: tuple[int, int], known: list[Fact], r) -> Clause:
    """All objects of a kind, sometimes with their size."""
    sizes = [o.size for o in known if o.kind == kind]
    size = sizes[0] if len(set(sizes)) == 1 and r.random() < .3 else -1
    return Clause(*kind, size, 0 if len(sizes) == 1 else len(sizes))


def full_meaning(known: list[Fact], code: int, r) -> Meaning:
    """Says (nearly) everything about the scene."""
    kinds = sorted({o.kind for o in known}, key=lambda _: r.random())
    asked = code if code >= 0 and r.random() < .25 else NO_NAME
    if len(kinds) == 1:
        return Meaning(clause_of(kinds[0], known, r), background=asked)
    if len(kinds) == 2:
        first, second, rel = *kinds, -1
        if len(known) == 2:
            a, b = known if r.random() < .5 else known[::-1]
            sure = relation(a, b)
            if sure is not None and r.random() < .85:
                first, second, rel = a.kind, b.kind, sure
        return Meaning(clause_of(first, known, r), clause_of(second, known, r), rel,
                       asked if r.random() < .3 else NO_NAME)
    if len({shape for shape, _ in kinds}) == 1 and r.random() < .6:
        return Meaning(Clause(kinds[0][0], -1, count=len(known)), background=asked)
    if len({colour for _, colour in kinds}) == 1 and r.random() < .6:
        return Meaning(Clause(-1, kinds[0][1], count=len(known)), background=asked)
    if r.random() < .3:
        return Meaning(Clause(-1, -1, count=len(known)), background=asked)
    return Meaning(clause_of(kinds[0], known, r), clause_of(kinds[1], known, r))


def part_meaning(known: list[Fact], code: int, r) -> Meaning:
    """Says one thing about the scene."""
    one = r.choice(known)
    how = r.choices(['kind', 'count', 'total', 'bare', 'relation'], [.3, .25, .2, .1, .3 if len(known) > 1 else 0])[0]
    asked = code if code >= 0 and r.random() < .2 else NO_NAME
    if how == 'relation':
        a, b = r.sample(known, 2)
        rel = relation(a, b)
        if rel is None or a.kind == b.kind:
            how = 'count'
        else:
            u = r.random()
            if u < .25 and a.shape != b.shape:
                return Meaning(Clause(a.shape, -1), Clause(b.shape, -1), rel)
            if u < .35 and a.colour != b.colour:
                return Meaning(Clause(-1, a.colour), Clause(-1, b.colour), rel)
            return Meaning(Clause(*a.kind), Clause(*b.kind), rel)
    if how == 'total':
        return Meaning(Clause(-1, -1, count=len(known)), background=asked)
    if how == 'bare':
        return Meaning(Clause(one.shape, -1) if r.random() < .5 else Clause(-1, one.colour), bare=True)
    shape, colour = r.choice([one.kind, one.kind, (one.shape, -1), (-1, one.colour)])
    if how == 'count':
        return Meaning(Clause(shape, colour, count=count(known, shape, colour)), background=asked)
    size = one.size if r.random() < .35 else -1
    k = count(known, shape, colour, size)
    return Meaning(Clause(shape, colour, size, 0 if k == 1 else k), background=asked)


def other_count(k: int, r) -> int:
    near = [q for q in range(1, 6) if q != k and (abs(q - k) == 1 or r.random() < .4)]
    return r.choice(near or [k % 5 + 1])


def false_clause(clause: Clause, field: str, r) -> Clause:
    old = getattr(clause, field)
    if field == 'shape':
        return clause._replace(shape=other_shape(r, old))
    if field == 'colour':
        return clause._replace(colour=other_colour(r, old))
    return clause._replace(size=1 - old) if field == 'size' else clause._replace(count=other_count(old, r))


def false_meaning(meaning: Meaning, r) -> Meaning:
    """Changes one fact of a meaning. The result may happen to hold: truth.py finds out."""
    first, second, rel, code, _ = meaning
    changes = []
    for which, clause in (('first', first), ('second', second)):
        if clause:
            changes += [(which, field) for field in ('shape', 'colour', 'size') if getattr(clause, field) >= 0]
            changes += [(which, 'count')] * (3 if clause.count > 0 else 0)
    changes += ['relation'] * 5 + ['swap'] * 2 if rel >= 0 else []
    changes += ['colours'] * 2 if second else []
    changes += ['background'] if code >= 0 else []
    change = r.choice(changes)
    if change == 'relation':
        others = [q for q in range(len(RELATIONS)) if q != rel]
        return meaning._replace(relation=rel ^ 1 if r.random() < .75 else r.choice(others))
    if change == 'swap':
        return meaning._replace(first=second, second=first)
    if change == 'colours':
        return meaning._replace(first=first._replace(colour=second.colour), second=second._replace(colour=first.colour))
    if change == 'background':
        return meaning._replace(background=(code + r.randrange(1, BACKGROUNDS)) % BACKGROUNDS)
    which, field = change
    return meaning._replace(**{which: false_clause(getattr(meaning, which), field, r)})
