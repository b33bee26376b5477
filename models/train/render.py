"""Scenes to pixels: supersampled Pillow masks over plain, shaded or textured grounds, with blur and JPEG traces."""
import io
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from scenes import COLOURS, MIXED, SHAPES, TEXTURE, Item, Scene

SIZE = 64  # pixels the model sees
CANVAS = 72  # pixels drawn: a margin for random crops
SUPERSAMPLE = 4

HSV = {  # hue (degrees), saturation, value: low and high of each
    'red': (-10, 7, .75, 1, .68, 1), 'green': (95, 148, .5, 1, .4, .88), 'blue': (208, 243, .65, 1, .5, 1),
    'yellow': (48, 61, .68, 1, .88, 1), 'orange': (22, 39, .8, 1, .9, 1), 'purple': (265, 297, .45, 1, .42, .82),
    'pink': (318, 353, .22, .62, .92, 1), 'brown': (12, 33, .38, .92, .26, .57), 'black': (0, 360, 0, .3, 0, .14),
    'white': (0, 360, 0, .03, .94, 1), 'gray': (0, 360, 0, .07, .4, .72), 'cyan': (174, 191, .6, 1, .78, 1)}


def rgb(colour: int, r) -> np.ndarray:
    """A tone of the colour: float64 (3,) from 0 to 1."""
    hue_low, hue_high, *rest = HSV[COLOURS[colour]]
    h, s, v = r.uniform(hue_low, hue_high), r.uniform(*rest[:2]), r.uniform(*rest[2:])
    i, f = divmod(h % 360 / 60, 1)
    p, q, t = v * (1 - s), v * (1 - s * f), v * (1 - s * (1 - f))
    return np.array([(v, t, p), (q, v, p), (p, v, t), (p, q, v), (t, p, v), (v, p, q)][int(i) % 6])


# ---- outlines: each gives [(points, ink)] in the unit disc, ink 1 to fill and 0 to cut out


def disc(radius: float):
    return [(radius * math.cos(2 * math.pi * i / 36), radius * math.sin(2 * math.pi * i / 36)) for i in range(36)]


def circle(r):
    return [(disc(.93), 1)]


def ring(r):
    return [(disc(.97), 1), (disc(r.uniform(.45, .68)), 0)]


def square(r):
    a = r.uniform(.74, .82)
    return [([(-a, -a), (a, -a), (a, a), (-a, a)], 1)]


def diamond(r):
    a = r.uniform(.58, .8)
    return [([(0, -1), (a, 0), (0, 1), (-a, 0)], 1)]


def triangle(r):
    height, width = r.uniform(.7, .88), r.uniform(.8, .95)
    return [([(0, -.97), (width, height), (-width, height)], 1)]


def star(r):
    inner = r.uniform(.37, .5)
    radii = [1., inner] * 5
    return [([(q * math.sin(i * math.pi / 5), -q * math.cos(i * math.pi / 5)) for i, q in enumerate(radii)], 1)]


def cross(r):
    a, b = r.uniform(.2, .36), .93
    return [([(-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a),
              (a, b), (-a, b), (-a, a), (-b, a), (-b, -a), (-a, -a)], 1)]


def heart(r):
    angles, q = [2 * math.pi * i / 32 for i in range(32)], r.uniform(.95, 1.1)
    return [([(.98 * math.sin(t) ** 3,
               -q * (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 16.5 - .08)
              for t in angles], 1)]


OUTLINES = dict(circle=circle, square=square, triangle=triangle, star=star, heart=heart, cross=cross, ring=ring,
                diamond=diamond)


def background(wanted: int, tones: list[np.ndarray], r, g) -> tuple[np.ndarray, int]:
    """float32 (CANVAS, CANVAS, 3) and the background it became: none that an object of these tones melts into."""
    n = CANVAS
    yy, xx = np.mgrid[0:n, 0:n].astype(np.float32) / n

    def far(tone):
        return all(np.abs(tone - k).sum() > .42 for k in tones)

    code = wanted
    for _ in range(30):
        named = 0 <= code < len(COLOURS)
        base = rgb(code, r) if named else g.uniform(0, 1, 3)
        if far(base):
            break
        if named and r.random() < .3:
            code = r.randrange(len(COLOURS))
    img = np.broadcast_to(base, (n, n, 3)).astype(np.float32)
    if code == MIXED:  # a linear or radial gradient to a second tone
        for _ in range(20):
            second = g.uniform(0, 1, 3)
            if far(second) and far((second + base) / 2):
                break
        else:
            second = base * .85
        a = r.uniform(0, 2 * math.pi)
        linear = r.random() < .8
        t = (xx - .5) * math.cos(a) + (yy - .5) * math.sin(a) if linear else np.hypot(xx - .5, yy - .5) * 1.4 - .5
        img = img + (np.clip(t / 1.2 + .5, 0, 1))[..., None] * (second - base).astype(np.float32)
    elif code == TEXTURE:
        u, amplitude = r.random(), r.uniform(.08, .22)
        if u < .5:  # noise of random grain, gray or coloured
            k = r.choice([n, n // 2, n // 4, n // 8])
            noise = g.standard_normal((k, k, 1 if u < .3 else 3)).astype(np.float32)
            z = np.stack([np.asarray(Image.fromarray(layer).resize((n, n), Image.BICUBIC))
                          for layer in noise.transpose(2, 0, 1)], -1)
        else:  # stripes or checks
            a, f = r.uniform(0, math.pi), r.uniform(4, 14)
            z = np.sin(2 * math.pi * f * (xx * math.cos(a) + yy * math.sin(a)))
            if u >= .75:
                z = np.sign(z * np.sin(2 * math.pi * f * (yy * math.cos(a) - xx * math.sin(a))))
            z = z[..., None]
        img = img + amplitude * .7 * z
    elif r.random() < .3:
        img = img + r.uniform(.0, .04) * g.standard_normal((n, n, 1)).astype(np.float32)
    return img, code


def draw_item(img: np.ndarray, ids: np.ndarray, number: int, item: Item, tone: np.ndarray, r) -> None:
    """Paints the item, slightly tilted and stretched, into `img`, and its number into `ids` where it covers most."""
    n, offset = CANVAS, (CANVAS - SIZE) / 2
    radius, cx, cy = item.radius * SIZE, offset + item.x * SIZE, offset + item.y * SIZE
    left, top, side = int(cx - radius - 2), int(cy - radius - 2), int(2 * radius + 6)
    mask = Image.new('L', (side * SUPERSAMPLE, side * SUPERSAMPLE))
    tilt, aspect = math.radians(r.gauss(0, 5)), r.uniform(.92, 1.08)
    cos, sin = math.cos(tilt), math.sin(tilt)
    for points, ink in OUTLINES[SHAPES[item.shape]](r):
        ImageDraw.Draw(mask).polygon(
            [(((x * cos * aspect - y * sin / aspect) * radius + cx - left) * SUPERSAMPLE,
              ((x * sin * aspect + y * cos / aspect) * radius + cy - top) * SUPERSAMPLE) for x, y in points],
            fill=255 * ink)
    alpha = mask.resize((side, side), r.choice([Image.BOX, Image.BICUBIC, Image.BILINEAR]))
    alpha = np.asarray(alpha).astype(np.float32) / 255
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, n), min(top + side, n)
    alpha = alpha[y0 - top:y1 - top, x0 - left:x1 - left, None]
    tone = tone.astype(np.float32)
    if r.random() < .2:  # slight shading from top to bottom
        rows = np.mgrid[0:n, 0:n].astype(np.float32)[0] / n
        tone = tone * (1 + r.uniform(-.12, .12) * (rows[y0:y1, x0:x1, None] - item.y) / max(item.radius, .1))
    img[y0:y1, x0:x1] = img[y0:y1, x0:x1] * (1 - alpha) + tone * alpha
    ids[y0:y1, x0:x1][alpha[..., 0] > .5] = number


def render(scene: Scene, r) -> tuple[np.ndarray, np.ndarray, int]:
    """The picture, uint8 (CANVAS, CANVAS, 3); which item covers a pixel, uint8 (CANVAS, CANVAS), from 1, 0 none; the
    background that it became."""
    g = np.random.RandomState(r.randrange(1 << 31))
    tones = [rgb(item.colour, r) for item in scene.items]
    img, code = background(scene.background, tones, r, g)
    ids = np.zeros((CANVAS, CANVAS), np.uint8)
    for number, (item, tone) in enumerate(zip(scene.items, tones), 1):
        draw_item(img, ids, number, item, tone, r)
    out = Image.fromarray((np.clip(img, 0, 1) * 255 + .5).astype(np.uint8))
    if r.random() < .15:
        out = out.filter(ImageFilter.GaussianBlur(r.uniform(.2, .7)))
    if r.random() < .3:
        file = io.BytesIO()
        out.save(file, 'JPEG', quality=r.randrange(35, 95))
        out = Image.open(file)
    return np.asarray(out.convert('RGB')), ids, code
