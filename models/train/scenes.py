"""What is in a picture: objects with shape, colour and place on a background. Draws scenes at random, and siblings that
differ in one fact. All numbers are fractions of the visible square's side; y grows downwards.

The order of the calls to the random generator `r` (random.Random) is part of the recipe: a seed names a scene.
"""
import math
from typing import NamedTuple

SHAPES = ['circle', 'square', 'triangle', 'star', 'heart', 'cross', 'ring', 'diamond']
COLOURS = ['red', 'green', 'blue', 'yellow', 'orange', 'purple', 'pink', 'brown', 'black', 'white', 'gray', 'cyan']

# Backgrounds are colour indices, one of these two, or NO_NAME for one that captions never mention.
MIXED, TEXTURE = len(COLOURS), len(COLOURS) + 1
BACKGROUNDS = len(COLOURS) + 2
NO_NAME = -1

SMALL, LARGE = .15, .22  # a radius up to SMALL is called small, from LARGE on large, between them neither
MAX_RADIUS = {2: .25, 3: .2, 4: .17, 5: .155}  # by the number of objects, so that they fit
RELATIONS = ['left', 'right', 'above', 'below']  # of the first to the second object; index ^ 1 is the opposite

# Stars and crosses look alike at 64 pixels: they are drawn more often, and are each other's usual mistake.
ALIKE = {SHAPES.index('star'): SHAPES.index('cross'), SHAPES.index('cross'): SHAPES.index('star')}
SHAPE_DRAW = [i for i in range(len(SHAPES)) for _ in range(2 if i in ALIKE else 1)]
BACKGROUND_WEIGHTS = [{'black': 2, 'white': 7, 'gray': 3}.get(colour, 1) for colour in COLOURS]


class Place(NamedTuple):
    x: float
    y: float
    radius: float


class Item(NamedTuple):
    """An object: indices into SHAPES and COLOURS, and its place."""
    shape: int
    colour: int
    x: float
    y: float
    radius: float


class Scene(NamedTuple):
    items: list[Item]
    background: int


def place(r, count: int, low: float, high: float) -> list[Place]:
    """`count` places that do not overlap, with radii between `low` and `high`."""
    while True:
        out = []
        same = r.uniform(low, high) if r.random() < .5 else None
        for _ in range(60):
            radius = same or r.uniform(low, high)
            margin = radius * .95 + .02
            x, y = r.uniform(margin, 1 - margin), r.uniform(margin, 1 - margin)
            if all(math.hypot(x - p.x, y - p.y) > (radius + p.radius) * 1.04 + .01 for p in out):
                out.append(Place(x, y, radius))
            if len(out) == count:
                return out


def relation(a, b) -> int | None:
    """How `a` lies to `b` (both have x and y): an index into RELATIONS, or None where one could doubt it."""
    dx, dy = b.x - a.x, b.y - a.y
    main = max(range(len(RELATIONS)), key=lambda i: (dx, -dx, dy, -dy)[i])
    low, high = sorted((abs(dx), abs(dy)))
    return main if high > .16 and high > 1.25 * low else None


def draw_shape(r) -> int:
    return r.choice(SHAPE_DRAW)


def draw_colour(r) -> int:
    return r.randrange(len(COLOURS))


def draw_kind(r) -> tuple[int, int]:
    return draw_shape(r), draw_colour(r)


def draw_background(r) -> int:
    u = r.random()
    if u < .6:
        return r.choices(range(len(COLOURS)), BACKGROUND_WEIGHTS)[0]
    return MIXED if u < .75 else TEXTURE if u < .88 else NO_NAME


def draw_pair(r) -> list[Item]:
    """Two different objects in a clear relation, often alike in shape or colour."""
    a = draw_kind(r)
    if r.random() < .2:
        b = (a[0], draw_colour(r))
    elif r.random() < .2:
        b = (draw_shape(r), a[1])
    else:
        b = draw_kind(r)
    while b == a:
        b = draw_kind(r)
    while True:
        places = place(r, 2, .085, .25)
        if relation(*places) is not None:
            return [Item(*a, *places[0]), Item(*b, *places[1])]


def draw_group(r, how: str) -> list[Item]:
    """Two to five objects: all of a kind, or alike in colour or shape ('group'), of two kinds, or a mix."""
    count = r.choice([2, 3, 4, 5])
    places = place(r, count, .08, MAX_RADIUS[count])
    if how == 'mix':
        return [Item(*draw_kind(r), *p) for p in places]
    if how == 'two groups':
        a, b, first = draw_kind(r), draw_kind(r), r.randrange(1, count)
        return [Item(*(a if i < first else b), *p) for i, p in enumerate(places)]
    (shape, colour), u = draw_kind(r), r.random()
    return [Item(shape if u < .85 else draw_shape(r), draw_colour(r) if .7 < u < .85 else colour, *p) for p in places]


def draw_scene(r) -> Scene:
    how = r.choices(['one', 'group', 'pair', 'mix', 'two groups'], [.22, .14, .5, .09, .05])[0]
    if how == 'one':
        low, high = r.choice([(.095, .15), (.15, .22), (.22, .42), (.22, .42)])
        items = [Item(*draw_kind(r), *place(r, 1, low, high)[0])]
    else:
        items = draw_pair(r) if how == 'pair' else draw_group(r, how)
    return Scene(items, draw_background(r))


def other_shape(r, shape: int) -> int:
    if shape in ALIKE and r.random() < .6:
        return ALIKE[shape]
    return (shape + r.randrange(1, len(SHAPES))) % len(SHAPES)


def other_colour(r, colour: int) -> int:
    return (colour + r.randrange(1, len(COLOURS))) % len(COLOURS)


def draw_sibling(r, scene: Scene) -> Scene:
    """A scene that differs in one fact (and perhaps in its background): a hard negative image."""
    items = list(scene.items)
    i, how = r.randrange(len(items)), r.choice(['colour', 'shape', 'swap places', 'swap colours', 'remove', 'double'])
    if len(items) == 2 and r.random() < .5:
        how = 'swap places'
    elif len(items) == 1:
        how = r.choice(['colour', 'shape', 'shape', 'double'])
    if how == 'colour':
        items[i] = items[i]._replace(colour=other_colour(r, items[i].colour))
    elif how == 'shape':
        items[i] = items[i]._replace(shape=other_shape(r, items[i].shape))
    elif how == 'swap places':  # the relation flips
        i, j = r.sample(range(len(items)), 2)
        a, b = items[i], items[j]
        items[i], items[j] = a._replace(x=b.x, y=b.y), b._replace(x=a.x, y=a.y)
    elif how == 'swap colours':  # attribute binding
        i, j = r.sample(range(len(items)), 2)
        a, b = items[i], items[j]
        items[i], items[j] = a._replace(colour=b.colour), b._replace(colour=a.colour)
    elif how == 'remove':
        items.pop(i)
    else:  # one more of the same kind (up to five), rearranged
        items = (items + [items[i]])[:5]
        places = place(r, len(items), .08, MAX_RADIUS[len(items)])
        items = [Item(item.shape, item.colour, *p) for item, p in zip(items, places)]
    return Scene(items, scene.background if r.random() < .5 else draw_background(r))
