"""A short training end to end: drawn scenes, training, export, and what the exported files answer. About a minute.

    python -m unittest discover models/train
"""
import json
import random
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from PIL import Image

from captions import say
from evaluate import Evaluation
from meanings import Clause, Meaning, facts, false_meaning, full_meaning, part_meaning
from pool import draw_pool
from published import Published
from reference import write_reference
from render import SIZE
from samples import draw
from scenes import COLOURS, SHAPES
from tokenizer import Tokenizer
from towers import CLIP
from truth import truth

HERE = Path(__file__).resolve().parent
SHIPPED = HERE.parent / 'tiny-clip'
STEPS = 100


def interface(path: Path) -> tuple[list, list]:
    """Names, element types and shapes of a graph's inputs and outputs."""
    graph = onnx.load(path).graph

    def describe(values):
        return [(v.name, v.type.tensor_type.elem_type,
                 [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]) for v in values]

    return describe(graph.input), describe(graph.output)


class TokenizerTest(unittest.TestCase):
    def test_openai_ids(self):
        """The published ids of OpenAI's own example, and of an over-long text: start and end are kept."""
        tokenizer = Tokenizer(SHIPPED / 'bpe_simple_vocab_16e6.txt.gz')
        self.assertEqual(tokenizer.encode('a photo of a cat'), [49406, 320, 1125, 539, 320, 2368, 49407])
        ids = tokenizer(['dog ' * 200])
        self.assertEqual((ids.shape, ids.dtype, ids[0, 0], ids[0, -1]), ((1, 77), np.int32, 49406, 49407))


class TruthTest(unittest.TestCase):
    def test_own_captions_are_possible(self):
        """Whatever is said of a scene could be true of it; a caption changed in its relation's direction is not."""
        pool, r = draw_pool(seed=3, pairs=50), random.Random(3)
        for i in range(len(pool.images)):
            known, code = facts(pool.objects[i], pool.positions[i]), int(pool.backgrounds[i])
            full = full_meaning(known, code, r)
            meanings = [full, part_meaning(known, code, r), full._replace(relation=full.relation ^ 1)]
            _, possible = truth(pool.objects[i:i + 1], pool.positions[i:i + 1], pool.backgrounds[i:i + 1], meanings)
            self.assertTrue(possible[0, :2].all(), meanings)
            if full.relation >= 0:
                self.assertFalse(possible[0, 2], meanings)

    def test_plain_words(self):
        red, blue = COLOURS.index('red'), COLOURS.index('blue')
        circle, square = SHAPES.index('circle'), SHAPES.index('square')
        meaning = Meaning(Clause(circle, red), Clause(square, blue), relation=0)
        self.assertEqual(say(meaning, random.Random(0), plain=True), 'a red circle to the left of a blue square')
        self.assertNotEqual(false_meaning(meaning, random.Random(0)), meaning)


class ShippedTest(unittest.TestCase):
    """The second renderer and the measurements against what ships with the model."""

    def test_samples_repeat(self):
        with tempfile.TemporaryDirectory() as folder:
            draw(folder, count=24, seed=11, png=.3)
            drawn = json.loads(Path(folder, 'captions.json').read_text())
        self.assertEqual(drawn, json.loads((SHIPPED / 'samples' / 'captions.json').read_text()))

    def test_reference_repeats(self):
        with tempfile.NamedTemporaryFile('r', suffix='.json') as file:
            write_reference(Published(str(SHIPPED)), str(SHIPPED / 'samples'), file.name)
            written = json.load(file)
        shipped = json.loads((SHIPPED / 'reference.json').read_text())
        for kind in ('texts', 'images'):
            for ours, theirs in zip(written[kind], shipped[kind], strict=True):
                self.assertEqual(ours.get('ids'), theirs.get('ids'))
                np.testing.assert_allclose(ours['first16'], theirs['first16'], rtol=2e-3, atol=2e-2)

    def test_evaluation(self):
        accuracy = Evaluation(Published(str(SHIPPED)), str(SHIPPED / 'samples')).run()
        for name in ('shape', 'colour', 'count', 'relation', 'text_to_image_recall_at_1'):
            self.assertGreaterEqual(accuracy[name], .95, name)


class TrainingTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.out, cls.checkpoint_path = Path(cls.folder.name, 'model'), Path(cls.folder.name, 'checkpoint.pt')
        # --primed 9: fade the contrastive loss in from the first step, for there is no time to learn relations first
        cls.output = subprocess.run(
            [sys.executable, HERE / 'train.py', '--out', cls.out, '--ckpt', cls.checkpoint_path, '--pairs', '500',
             '--batch', '48', '--steps', str(STEPS), '--warmup', '10', '--primed', '9'],
            check=True, capture_output=True, text=True).stdout
        cls.checkpoint = torch.load(cls.checkpoint_path)

    def test_loss_falls(self):
        early, late = (next(entry for entry in self.checkpoint['log'] if entry['step'] == step)
                       for step in (STEPS // 2, STEPS))
        for loss in ('image_to_text', 'patches', 'count'):
            self.assertLess(late[loss], early[loss], self.output)
        self.assertGreater(late['batch_accuracy'], early['batch_accuracy'])

    def test_files_are_as_published(self):
        for name in ('textual.onnx', 'visual.onnx'):
            self.assertEqual(interface(self.out / name), interface(SHIPPED / name))
        trained, shipped = (json.loads((folder / 'config.json').read_text()) for folder in (self.out, SHIPPED))
        trained['logit_scale'] = shipped['logit_scale']
        trained['sha256'] = shipped['sha256']
        for key in set(shipped) - {'training', 'accuracy', 'limits', 'targets'}:
            self.assertEqual(trained[key], shipped[key], key)

    def test_onnxruntime_agrees_with_torch(self):
        """Through the files as a server reads them; the tolerance is what fp16 weights cost."""
        model = CLIP(self.checkpoint['known'], **self.checkpoint['config'])
        model.load_state_dict(self.checkpoint['ema'])
        published = Published(str(self.out))
        texts = ['a red circle', 'three blue squares on a white background', 'a heart above a star', 'circle ' * 200]
        images = [published.preprocess(Image.open(path)) for path in sorted(SHIPPED.glob('samples/*.png'))]
        pixels = np.stack(images)
        self.assertEqual((pixels.dtype, pixels.shape[1:]), (np.float32, (3, SIZE, SIZE)))
        with torch.no_grad():
            ids = torch.from_numpy(published.tokenizer(texts)).long()
            np.testing.assert_allclose(published.embed_texts(texts), model.text(ids).numpy(), atol=5e-3)
            embedded = published.visual.run(None, dict(pixel_values=pixels))[0]
            np.testing.assert_allclose(embedded, model.image(torch.from_numpy(pixels)).numpy(), atol=5e-3)

    def test_batches_change_nothing(self):
        """A row's embedding does not depend on its neighbours, and unknown words differ from one another."""
        session = ort.InferenceSession(self.out / 'textual.onnx', providers=['CPUExecutionProvider'])
        tokenizer = Tokenizer(self.out / 'bpe_simple_vocab_16e6.txt.gz')
        ids = tokenizer(['a red circle', 'an elephant', 'a helicopter'])
        together = session.run(None, dict(input_ids=ids, attention_mask=np.ones_like(ids)))[0]
        alone = session.run(None, dict(input_ids=ids[1:2], attention_mask=np.zeros_like(ids[1:2])))[0]
        np.testing.assert_allclose(alone[0], together[1], atol=1e-5)
        self.assertGreater(np.abs(together[1] - together[2]).max(), 1e-3)


if __name__ == '__main__':
    unittest.main()
