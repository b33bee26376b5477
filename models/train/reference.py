"""reference.json: what any server of the model must reproduce, by Python's onnxruntime and Pillow."""
import json

import numpy as np
from PIL import Image

from published import Published, unit

TEXTS = [
    'a red circle', 'Three BLUE   squares\n on a white background', '3 blue squares',
    'a photo of a large green star to the left of a small pink heart',
    # entities; emoji with joiners; no Latin letters; apostrophes
    'R&amp;D caf\u00e9 \u2014 na\u00efve \u201cquotes\u201d &lt;b&gt; '
    '\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 \u7ea2\u8272\u7684\u5706 don\'t',
    'The quick brown fox jumps over the lazy dog, 1234567890 times! ' * 6,  # longer than the context
    '',
    'caf\u00c3\u00a9 \u00e2\u20ac\u0153mojibake\u00e2\u20ac\x9d \ufb01ne \uff21\uff22\uff23']  # what ftfy mends
NOTE = ('float values from onnxruntime CPU; tolerate 2e-3 relative for other builds, '
        '2e-2 for JPEG decoders/resizers other than PIL')


def pick_images(items: list[dict]) -> list[dict]:
    """Four: of each file format, and one that is not square."""
    spread = [items[i] for i in np.linspace(0, len(items) - 1, 6).astype(int)]
    png = [d for d in spread if d['file'].endswith('png')][:2]
    oblong = [d for d in items if d['width'] != d['height']][:1]
    return (png + oblong + [d for d in spread if d['file'].endswith('jpg')])[:4]


def describe_tensor(pixels: np.ndarray) -> dict:
    """Enough of a preprocessed image, float32 (3, 64, 64), to find where another preprocessing differs."""
    return dict(shape=list(pixels.shape), mean=float(pixels.mean()), std=float(pixels.std()),
                channel_mean=pixels.mean((1, 2)).tolist(), first8=pixels.ravel()[:8].tolist(),
                center=pixels[:, 32, 32].tolist())


def describe_embedding(vector: np.ndarray) -> dict:
    return dict(norm=float(np.linalg.norm(vector)), first16=vector[:16].tolist())


def write_reference(model: Published, folder: str, path: str) -> None:
    with open(f'{folder}/captions.json') as file:
        picked = pick_images(json.load(file))
    texts = []
    for text, ids, vector in zip(TEXTS, model.tokenizer(TEXTS), model.embed_texts(TEXTS)):
        length = int((ids != 0).sum())
        texts.append(dict(text=text, length=length, ids=ids[:length].tolist(), padded_to=len(ids),
                          **describe_embedding(vector)))
    images, vectors = [], model.embed_images([f'{folder}/{d["file"]}' for d in picked])
    for d, vector in zip(picked, vectors):
        image = Image.open(f'{folder}/{d["file"]}')
        images.append(dict(file=f'samples/{d["file"]}', caption=d['caption'], width=image.width, height=image.height,
                           tensor=describe_tensor(model.preprocess(image)), **describe_embedding(vector)))
    captions = [d['caption'] for d in picked]
    cosine = unit(vectors) @ unit(model.embed_texts(captions)).T
    similarities = dict(texts=captions, images=[d['file'] for d in images], cosine=cosine.round(5).tolist())
    with open(path, 'w') as file:
        json.dump(dict(note=NOTE, texts=texts, images=images, similarities=similarities), file, indent=1)
