#!/usr/bin/env python3
"""The second renderer, used only to measure: SVG, rasterised with cairosvg at 224 to 640 pixels, saved as JPEG or PNG.

    python samples.py --out DIR --seed 11    # the samples that ship

It shares no drawing code with training and has its own palette and geometry, so that a model that learned the training
renderer's habits instead of shapes and colours would be found out. (The training ranges of pink and brown were widened
a little after comparing them with this palette.) Coordinates are percent of the side.
"""
import argparse
import io
import json
import math
import os
import random

import cairosvg
from PIL import Image

from captions import NUMBERS, RELATION_WORDS, article, phrase, plural
from scenes import COLOURS, RELATIONS, SHAPES

PALETTE = {
    'red': ['#e53935', '#d50000', '#f02020', '#c8102e', '#ff0000'],
    'green': ['#2e7d32', '#43a047', '#008000', '#1faa3c', '#3cb043'],
    'blue': ['#1e40ff', '#1565c0', '#0000ff', '#2962ff', '#1b3fa8'],
    'yellow': ['#fdd835', '#ffeb3b', '#ffff33', '#ffe000', '#f7e017'],
    'orange': ['#fb8c00', '#ff7f0e', '#ffa500', '#ff8800'],
    'purple': ['#7b1fa2', '#800080', '#6a1b9a', '#8e44ad', '#9b30d0'],
    'pink': ['#ff69b4', '#ffb6c1', '#f48fb1', '#ff8fc0'],
    'brown': ['#795548', '#6d4c41', '#8b4513', '#654321', '#5d3a1a'],
    'black': ['#000000', '#111111', '#1a1a1a', '#0b0b10'],
    'white': ['#ffffff', '#fdfdfd', '#f8f8f8', '#f6f6f2'],
    'gray': ['#808080', '#9e9e9e', '#757575', '#8a8d8f', '#a0a0a0'],
    'cyan': ['#00bcd4', '#00ffff', '#26c6da', '#18e0e8']}
BACKGROUNDS = {'white': '#ffffff', 'black': '#0a0a0a', 'gray': '#8c8c8c', 'blue': '#2244cc', 'yellow': '#ffe640',
               'green': '#2f9e44', 'pink': '#ffc0cb'}
VIGNETTE = {'white': '#e2e2e2', 'gray': '#7a7a7a', 'black': '#262626'}  # the tone at the corners
KINDS = {'single': .4, 'count': .3, 'relation': .3}  # shares


# ---- shapes


def shape_svg(shape: str, x: float, y: float, r: float, fill: str, rnd) -> str:
    tilt, paint = rnd.uniform(-10, 10), f'fill="{fill}"'
    if shape == 'circle':
        body = f'<circle r="{r * .95}" {paint}/>'
    elif shape == 'ring':
        w = r * rnd.uniform(.34, .5)
        body = f'<circle r="{r - w / 2}" fill="none" stroke="{fill}" stroke-width="{w}"/>'
    elif shape == 'square':
        s = r * .78
        round_corner = s * rnd.choice([0, 0, .08])
        body = f'<rect x="{-s}" y="{-s}" width="{2 * s}" height="{2 * s}" rx="{round_corner}" {paint}/>'
    elif shape == 'diamond':
        body = f'<path d="M0 {-r}L{r * rnd.uniform(.62, .78)} 0L0 {r}L{-r * .7} 0Z" {paint}/>'
    elif shape == 'triangle':
        body = f'<polygon points="0,{-r * .95} {r * .88},{r * .78} {-r * .88},{r * .78}" {paint}/>'
    elif shape == 'star':
        inner = rnd.uniform(.38, .46)
        points = ' '.join(f'{q * math.sin(i * math.pi / 5):.3f},{-q * math.cos(i * math.pi / 5):.3f}'
                          for i, q in enumerate([r, inner * r] * 5))
        body = f'<polygon points="{points}" {paint}/>'
    elif shape == 'cross':
        w = r * rnd.uniform(.46, .66)
        body = (f'<g stroke="{fill}" stroke-width="{w}"><path d="M0 {-r * .95}V{r * .95}"/>'
                f'<path d="M{-r * .95} 0H{r * .95}"/></g>')
    elif shape == 'heart':  # of Bezier curves
        body = (f'<path d="M0 {r * .92}C{-r * .4} {r * .55} {-r} {r * .15} {-r} {-r * .35}'
                f'C{-r} {-r * .95} {-r * .25} {-r * 1.0} 0 {-r * .42}'
                f'C{r * .25} {-r * 1.0} {r} {-r * .95} {r} {-r * .35}'
                f'C{r} {r * .15} {r * .4} {r * .55} 0 {r * .92}Z" {paint}/>')
    else:
        raise ValueError(f'samples.py cannot draw a {shape}: add it to shape_svg')
    return f'<g transform="translate({x:.2f} {y:.2f}) rotate({tilt:.1f})">{body}</g>'


# ---- scenes: each returns the objects, (shape, colour, x, y, radius), and what is known of them


def single(rnd, i: int):
    facts = dict(shape=SHAPES[i % len(SHAPES)],
                 colour=COLOURS[(i * 5 + i // len(COLOURS)) % len(COLOURS)])
    size = rnd.choice(['large', 'large', None, 'small'])
    radius = rnd.uniform(*{'large': (24, 38), 'small': (10, 14.5), None: (15.5, 21.5)}[size])
    x, y = rnd.uniform(radius + 3, 97 - radius), rnd.uniform(radius + 3, 97 - radius)
    return [(facts['shape'], facts['colour'], x, y, radius)], dict(facts, size=size)


def scatter(rnd, n: int, low: float, high: float) -> list[tuple[float, float, float]]:
    while True:
        out, usual = [], rnd.uniform(low, high)
        for _ in range(300):
            r = usual * rnd.uniform(.85, 1.15)
            x, y = rnd.uniform(r + 2, 98 - r), rnd.uniform(r + 2, 98 - r)
            if all(math.hypot(x - a, y - b) > (r + c) * 1.1 + 1 for a, b, c in out):
                out.append((x, y, r))
            if len(out) == n:
                return out


def counted(rnd, i: int):
    n = i % 5 + 1
    mixed = rnd.random() < .25 and n > 1
    shape, colour = rnd.choice(SHAPES), rnd.choice(COLOURS)
    places = scatter(rnd, n, 9 if n > 3 else 11, {1: 30, 2: 22, 3: 18, 4: 15.5, 5: 14}[n])
    objects = [(shape, rnd.choice(COLOURS) if mixed else colour, *p) for p in places]
    same = len({o[1] for o in objects}) == 1
    return objects, dict(count=n, shape=shape, colour=objects[0][1] if same else None)


def related(rnd, i: int):
    """Two objects that differ in shape and colour, one clearly beside or above the other."""
    relation = RELATIONS[i % len(RELATIONS)]
    while True:
        a, b = [(rnd.choice(SHAPES), rnd.choice(COLOURS)) for _ in 'ab']
        if a[0] != b[0] and a[1] != b[1]:
            break
    r1, r2 = rnd.uniform(11, 20), rnd.uniform(11, 20)
    gap, shift = rnd.uniform(2, 100 - 2 * r1 - 2 * r2 - 8), rnd.uniform(-9, 9)
    total = 2 * r1 + gap + 2 * r2
    start = rnd.uniform(3, 97 - total)
    middle = rnd.uniform(max(r1, r2) + 13, 87 - max(r1, r2))
    first, second = (start + r1, middle + shift / 2), (start + 2 * r1 + gap + r2, middle - shift / 2)
    if relation in ('right', 'below'):
        (first, second), (r1, r2) = (second, first), (r2, r1)
    if relation in ('above', 'below'):
        first, second = first[::-1], second[::-1]
    facts = dict(count=2, relation=relation, shape=a[0], colour=a[1], shape2=b[0], colour2=b[1])
    return [(*a, *first, r1), (*b, *second, r2)], facts


def caption(d: dict, rnd) -> str:
    if d['kind'] == 'relation':
        a, b = article(phrase(d['colour'], d['shape'])), article(phrase(d['colour2'], d['shape2']))
        return f'{a} {RELATION_WORDS[RELATIONS.index(d["relation"])][0]} {b}'
    on_background = f' on {article(d["background"])} background'
    if d['kind'] == 'single':
        text = article(phrase(d['size'], d['colour'], d['shape']))
        return text + (on_background if rnd.random() < .5 else '')
    if d['count'] == 1:
        return article(phrase(d['colour'], d['shape'])) + on_background
    return phrase(NUMBERS[d['count']], d['colour'], plural(d['shape']))


# ---- pictures


def distance(a: str, b: str) -> int:
    return sum(abs(x - y) for x, y in zip(bytes.fromhex(a[1:]), bytes.fromhex(b[1:])))


def draw_scene(kind: str, rnd, i: int) -> tuple[str, dict]:
    """SVG, and what it shows. `i` walks through shapes, counts and relations, so that they are balanced."""
    objects, known = dict(single=single, count=counted, relation=related)[kind](rnd, i)
    d = dict(kind=kind, shape=None, colour=None, count=1, relation=None) | known
    fills = [rnd.choice(PALETTE[o[1]]) for o in objects]
    if len({o[:2] for o in objects}) == 1:
        fills = [fills[0]] * len(fills)
    fits = [name for name, tone in BACKGROUNDS.items()
            if all(distance(tone, fill) > 130 and name != o[1] for fill, o in zip(fills, objects))]
    weights = [6 if name == 'white' else 2 if name in ('black', 'gray') else 1 for name in fits]
    d['background'] = back = rnd.choices(fits, weights)[0] if fits else 'white'
    ground, definition = BACKGROUNDS[back], ''
    if rnd.random() < .15 and back in VIGNETTE:
        definition = (f'<defs><radialGradient id="g"><stop offset="0" stop-color="{ground}"/>'
                      f'<stop offset="1" stop-color="{VIGNETTE[back]}"/></radialGradient></defs>')
        ground = 'url(#g)'
    body = ''.join(shape_svg(o[0], *o[2:], fill, rnd) for o, fill in zip(objects, fills))
    d['caption'] = caption(d, rnd)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">{definition}'
            f'<rect width="100" height="100" fill="{ground}"/>{body}</svg>'), d


def pad(image: Image.Image, rnd, wide: bool) -> Image.Image:
    """Not square any more, by the border's colour; the centre crop takes the margin away again."""
    side = image.width
    long = side + rnd.randrange(8, side // 3)
    out = Image.new('RGB', (long, side) if wide else (side, long), image.getpixel((1, 1)))
    out.paste(image, ((out.width - side) // 2, (out.height - side) // 2))
    return out


def draw(folder: str, count: int, seed: int, png: float) -> None:
    """Writes `count` pictures, a share `png` of them as PNG, and captions.json."""
    os.makedirs(folder, exist_ok=True)
    rnd, items = random.Random(seed), []
    kinds = [kind for kind in ('single', 'count') for _ in range(round(count * KINDS[kind]))]
    kinds += ['relation'] * (count - len(kinds))
    # three numbers for one, so that seed 11 repeats the samples that ship
    _, start, _ = (rnd.randrange(len(SHAPES) * len(COLOURS)) for _ in KINDS)
    walk = dict(single=start, count=0, relation=0)
    for i, kind in enumerate(kinds):
        svg, d = draw_scene(kind, rnd, walk[kind])
        walk[kind] += 1
        side = rnd.randrange(224, 641)
        data = cairosvg.svg2png(svg.encode(), output_width=side, output_height=side)
        image, u = Image.open(io.BytesIO(data)).convert('RGB'), rnd.random()
        if kind != 'relation' and u < .25:
            image = pad(image, rnd, wide=u < .17)
        extension = 'png' if rnd.random() < png else 'jpg'
        d.update(file=f'{i:03d}.{extension}', width=image.width, height=image.height)
        image.save(f'{folder}/{d["file"]}', **({} if extension == 'png' else dict(quality=rnd.randrange(60, 96))))
        items.append(d)
    with open(f'{folder}/captions.json', 'w') as file:
        json.dump(items, file, indent=1)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('--out', required=True)
    parser.add_argument('--count', type=int, default=24)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--png', type=float, default=.3, help='share of PNG, the rest JPEG')
    options = parser.parse_args()
    draw(options.out, options.count, options.seed, options.png)
