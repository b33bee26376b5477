"""Words for what can be said about a scene. As in scenes.py, the order of the calls to `r` is part of the recipe."""
from meanings import Clause, Meaning
from scenes import COLOURS, MIXED, SHAPES, TEXTURE

SYNONYMS = {'circle': ['disc', 'disk', 'dot'], 'square': ['box'], 'cross': ['plus sign', 'plus'],
            'ring': ['donut', 'hoop'], 'diamond': ['rhombus'], 'gray': ['grey'], 'purple': ['violet'],
            'cyan': ['turquoise']}
PLURALS = {'box': 'boxes', 'cross': 'crosses', 'plus': 'pluses', 'rhombus': 'rhombuses'}
THINGS = ['shape', 'object', 'shape', 'object', 'thing', 'figure']
SIZES = [['small', 'small', 'little', 'tiny'], ['large', 'large', 'big']]
NUMBERS = ['', 'one', 'two', 'three', 'four', 'five', 'six']
WRAPPERS = [
    'a photo of {}', 'a picture of {}', 'an image of {}', 'a drawing of {}', 'a picture with {}', 'an image with {}',
    '{}.', 'a photo of {}.', 'an illustration of {}', 'a rendering of {}', 'a painting of {}', 'a sketch of {}',
    'this is {}', 'a scene with {}', 'picture of {}', 'photo of {}', 'image of {}', 'a good photo of {}',
    'a blurry photo of {}', 'a close-up photo of {}', 'a low resolution photo of {}', 'a jpeg corrupted photo of {}',
    'an image containing {}', 'i see {}', 'look at {}', 'it shows {}', 'a photo showing {}', 'here is {}',
    'a cartoon of {}', 'a cropped photo of {}', 'we can see {}', 'this is a picture of {}']
RELATION_WORDS = [
    ['to the left of', 'left of', 'on the left of', 'on the left side of'],
    ['to the right of', 'right of', 'on the right of', 'on the right side of'],
    ['above', 'over', 'on top of', 'higher than'],
    ['below', 'under', 'beneath', 'lower than', 'underneath']]
OF_COLOUR = ['something {}', 'the color {}', 'a {} shape', 'a {} object', '{} color', 'a {} thing']
ON_BACKGROUND = [' on {} background', ' on {} background', ' against {} background', ' with {} background']


def phrase(*words: str | None) -> str:
    return ' '.join(filter(None, words))


def plural(noun: str) -> str:
    return PLURALS.get(noun, noun + 's')


def article(noun: str) -> str:
    return ('an ' if noun[0] in 'aeiou' else 'a ') + noun


def word(name: str, r) -> str:
    return r.choice(SYNONYMS[name]) if name in SYNONYMS and r.random() < .12 else name


def say_clause(clause: Clause, r, bare_noun=False) -> str:
    name = word(SHAPES[clause.shape], r) if clause.shape >= 0 else r.choice(THINGS)
    adjectives = [r.choice(SIZES[clause.size])] if clause.size >= 0 else []
    if clause.colour >= 0:
        adjectives.append(word(COLOURS[clause.colour], r))
    if clause.count > 1:
        number = str(clause.count) if r.random() < .3 else NUMBERS[clause.count]
        return phrase(number, *adjectives, plural(name))
    singular = phrase(*adjectives, name)
    if clause.count == 1:
        return r.choice(['one ', 'one ', 'a single ', '1 ', 'exactly one ']) + singular
    if bare_noun:
        return singular
    return r.choice(['the ', 'one ']) + singular if r.random() < .06 else article(singular)


def say_bare(clause: Clause, r) -> str:
    if clause.shape >= 0:
        return word(SHAPES[clause.shape], r)
    name = word(COLOURS[clause.colour], r)
    return name if r.random() < .6 else r.choice(OF_COLOUR).format(name).replace('a orange', 'an orange')


def say_background(code: int, r) -> str:
    if code == MIXED:
        name = 'gradient'
    else:
        name = r.choice(['textured', 'noisy', 'patterned']) if code == TEXTURE else word(COLOURS[code], r)
    return r.choice(ON_BACKGROUND).format(article(name))


def say(meaning: Meaning, r, plain=False) -> str:
    """Words for a meaning. `plain`: without 'a photo of ...'."""
    first, second, rel, code, bare = meaning
    if bare:
        return say_bare(first, r)
    if rel >= 0:
        a, words = say_clause(first, r), RELATION_WORDS[rel]
        text = f'{a} {words[0] if r.random() < .5 else r.choice(words)} {say_clause(second, r)}'
        if r.random() < .08:
            text = 'there is ' + text
    elif second is not None:
        a, b = say_clause(first, r), say_clause(second, r)
        text = r.choice([f'{a} and {b}', f'{a} and {b}', f'{a}, {b}', f'{a} with {b}', f'{a} next to {b}'])
    else:
        just_a_kind = first.count == 0 and first.shape >= 0 and first.colour >= 0 and first.size < 0 and code < 0
        if just_a_kind and r.random() < .12:
            return f'the {word(SHAPES[first.shape], r)} is {word(COLOURS[first.colour], r)}'
        text = say_clause(first, r, bare_noun=r.random() <= .1)
        if r.random() < .06:
            text = ('there are ' if first.count > 1 else 'there is ') + text
    if code >= 0:
        text += say_background(code, r)
    return text if plain or r.random() < .45 else r.choice(WRAPPERS).format(text)


def all_words() -> set[str]:
    """Every word that captions use: the tokens that the text tower learns."""
    words = [*WRAPPERS, *sum(RELATION_WORDS, []), *NUMBERS, *SHAPES, *COLOURS, *sum(SYNONYMS.values(), [])]
    nouns = [*SHAPES, 'disc', 'disk', 'dot', 'donut', 'hoop', 'shape', 'object', 'thing', 'figure', 'plus sign']
    return set(' '.join(words).replace('{}', '').split()) | {noun + 's' for noun in nouns} | set('''
        a an the boxes crosses pluses rhombuses shape object thing figure small little tiny large big one single exactly
        1 2 3 4 5 is are there and with next to on against background gradient textured noisy patterned something color
        colour . ,'''.split())
