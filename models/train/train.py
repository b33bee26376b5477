#!/usr/bin/env python3
"""Trains the tiny CLIP on drawn scenes, on a CPU, and exports it; README.md says how and why.

    python train.py --out DIR                       # about 45 minutes on two idle cores
    python train.py --out DIR --export-only CKPT    # DIR/textual.onnx, DIR/visual.onnx, DIR/config.json

Everything (scenes, captions, pixels, batches, weights) follows from --seed. Only --minutes, which shortens the schedule
to fit a time limit, depends on the speed of the machine. A checkpoint is written every 100 steps.
"""
import os
import sys

# Keep freed pages: torch on a CPU is about twice as fast. glibc reads these when a process starts, so start once more.
if __name__ == '__main__' and 'MALLOC_TOP_PAD_' not in os.environ:
    os.environ.update(MALLOC_MMAP_THRESHOLD_='8000000000', MALLOC_TRIM_THRESHOLD_='16000000000',
                      MALLOC_TOP_PAD_='500000000')
    os.execv(sys.executable, [sys.executable] + sys.argv)

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from batches import Batch, Batches
from captions import all_words
from export import export
from losses import batch_accuracy, compute_losses
from pool import Pool, make_pool, validation_pool
from tokenizer import Tokenizer
from towers import CLIP
from validate import validate

VOCABULARY = Path(__file__).resolve().parent.parent / 'tiny-clip' / 'bpe_simple_vocab_16e6.txt.gz'


def arguments(argv=None):
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add('--out', required=True, help='folder that gets the model')
    add('--vocab', default=VOCABULARY, help="OpenAI's merges")
    add('--cache', default='', help='folder that keeps the drawn images for another run')
    add('--ckpt', default='tiny-clip.pt', help='checkpoint to write')
    add('--resume', default='', help='checkpoint whose weights to start from')
    add('--export-only', default='', help='checkpoint to export without training')
    add('--seed', type=int, default=7)
    add('--steps', type=int, default=4000)
    add('--minutes', type=float, default=1e9, help='time limit; shortens the schedule')
    add('--batch', type=int, default=160, help='images per step, over all workers')
    add('--pairs', type=int, default=24000, help='scenes drawn, each with a sibling; a multiple of 250')
    add('--lr', type=float, default=1e-3)
    add('--warmup', type=int, default=50, help='steps')
    add('--aux', type=float, default=.5, help='weight of what patches show and how many objects there are')
    add('--where', type=float, default=1., help='weight of what lies on which side')
    add('--rel', type=float, default=1., help='weight of true against opposite relation')
    add('--primed', type=float, default=.55, help='`where` loss at which the contrastive loss is faded in')
    add('--workers', type=int, default=2, help='processes, one per core')
    add('--bf16', type=int, default=1)
    return parser.parse_args(argv)


def distract(tokens: np.ndarray, g) -> np.ndarray:
    """Inserts unknown tokens near the start or the end of some captions, so that unknown words do little harm."""
    out = np.zeros((len(tokens), tokens.shape[1] + 3), tokens.dtype)
    out[:, :tokens.shape[1]] = tokens
    for i in np.flatnonzero(g.rand(len(tokens)) < .08):
        length, k = int((tokens[i] > 0).sum()), g.randint(1, 4)
        at = 1 if g.rand() < .5 else length - 1
        row = np.concatenate([tokens[i, :at], g.randint(1000, 49000, k), tokens[i, at:length]])
        out[i] = 0
        out[i, :len(row)] = row
    return out[:, :(out > 0).sum(1).max()]


def parameter_groups(model: CLIP) -> list[dict]:
    """No weight decay on biases, norms and tables; the text tower learns twice as fast (`speed`)."""
    groups = {}
    for name, p in model.named_parameters():
        table = name in ('token_table', 'image_positions', 'text_positions')
        decay = .05 if p.ndim > 1 and not table else 0.
        speed = 2 if name.startswith(('text_blocks', 'ln_final', 'aux_where_text', 'widen')) else 1
        groups.setdefault((decay, speed), []).append(p)
    return [dict(params=params, weight_decay=decay, speed=speed) for (decay, speed), params in groups.items()]


class Worker:
    """One process of the training: half of each batch, with the gradients of all averaged."""

    def __init__(self, rank: int, a, tokenizer: Tokenizer, pool: Pool):
        self.rank, self.a, self.tokenizer = rank, a, tokenizer
        torch.manual_seed(a.seed)  # every worker makes the same weights
        words = {token for word in all_words() for token in tokenizer.encode(word)}
        self.known = sorted(words | {tokenizer.sot, tokenizer.eot})
        self.model = CLIP(self.known)
        if a.resume:
            self.model.load_state_dict(torch.load(a.resume)['raw'], strict=False)
        self.params = list(self.model.parameters())
        self.optimizer = torch.optim.AdamW(parameter_groups(self.model), lr=a.lr, betas=(.9, .98))
        self.batches = Batches(pool, tokenizer, a.batch // a.workers, a.seed + 1 + 100 * rank).start()
        self.g = np.random.RandomState(a.seed + 2 + 100 * rank)
        torch.manual_seed(a.seed + rank)
        self.average = {name: v.clone() for name, v in self.model.state_dict().items()}  # what is exported
        self.smooth, self.log, self.images = None, [], len(pool.images)
        self.contrastive, self.where = .03, .7  # weight of that loss; running mean of the towers' `where` losses
        self.used = 0.  # share of the time limit
        self.started = time.time()
        if rank == 0:
            self.validation = validation_pool(a.seed)
            size = sum(p.numel() for p in self.params) / 1e6
            print(f'{len(self.known)} known tokens; {size:.2f} M parameters', flush=True)

    def run(self):
        step = 0
        try:
            for step in range(1, self.a.steps + 1):
                self.step(step)
                if self.used >= 1:
                    break
        except KeyboardInterrupt:
            pass  # keep what there is
        if self.rank == 0:
            self.save(step)

    def step(self, step: int):
        a, done = self.a, min(1, max(step / self.a.steps, self.used))  # a time limit shortens the schedule
        rate = a.lr * min(1, step / a.warmup) * (.02 + .98 * .5 * (1 + math.cos(math.pi * done)))
        for group in self.optimizer.param_groups:
            group['lr'] = rate * group['speed']
        batch = self.batches.queue.get()
        batch = Batch(*map(torch.from_numpy, batch._replace(tokens=distract(batch.tokens, self.g))))
        losses, scores = compute_losses(self.model, batch, bool(a.bf16))
        loss = losses.total(self.contrastive, a.aux * (1 - .7 * done), a.where, a.rel)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        where = (losses.where[0] + losses.where[1]).item() / 2
        where, self.used = self.average_gradients(where, (time.time() - self.started) / 60 / a.minutes)
        # Neither tower learns relations from the contrastive loss before the other one knows them, so that loss stays
        # low until both have got them from the `where` losses.
        self.where = .9 * self.where + .1 * where
        if self.contrastive > .03 or self.where < a.primed:
            self.contrastive = min(1., self.contrastive + .01)
        torch.nn.utils.clip_grad_norm_(self.params, 1.)
        self.optimizer.step()
        if self.rank == 0:
            self.average_weights(step)
            self.report(step, losses, batch_accuracy(scores.detach(), batch.weights, batch.negatives))

    def average_gradients(self, *numbers: float) -> list[float]:
        """Averages the gradients of all workers in place, and `numbers` with them, which it returns."""
        flat = torch.cat([p.grad.flatten() for p in self.params] + [torch.tensor(numbers)])
        dist.all_reduce(flat)
        flat /= self.a.workers
        at = 0
        for p in self.params:
            p.grad.copy_(flat[at:at + p.numel()].view_as(p))
            at += p.numel()
        return flat[at:].tolist()

    @torch.no_grad()
    def average_weights(self, step: int):
        keep = min(.998, step / (step + 20.))
        for name, v in self.model.state_dict().items():
            if v.dtype.is_floating_point:
                self.average[name].lerp_(v, 1 - keep)

    def report(self, step: int, losses, accuracy):
        a, (to_text, to_image, patches, count, where, relation) = self.a, losses
        now = np.array([x.item() for x in (to_text, to_image, patches, count, accuracy, *where, relation)])
        self.smooth = now if self.smooth is None else .95 * self.smooth + .05 * now
        if step % 50 == 0 or step == a.steps:
            names = ('image_to_text', 'text_to_image', 'patches', 'count', 'batch_accuracy')
            s = [round(float(x), 3) for x in self.smooth]
            entry = dict(step=step, seconds=round(time.time() - self.started), **dict(zip(names, s)), where=s[5:10],
                         relation=s[10], scale=round(self.model.scale.exp().item(), 1))
            if step % 100 == 0 or step <= 200:
                entry.update(validate(self.model, self.validation, self.tokenizer))
            self.log.append(entry)
            print(json.dumps(entry), flush=True)
        if step % 100 == 0:
            self.save(step)

    def save(self, step: int):
        a = self.a
        facts = dict(
            seed=a.seed, steps=step, planned_steps=a.steps, minutes_limit=a.minutes if a.minutes < 1e8 else None,
            batch=a.batch, workers=a.workers, pool_images=self.images, lr=a.lr,
            training_seconds=round(time.time() - self.started), resumed_from=os.path.basename(a.resume) or None,
            final_losses=self.log[-1] if self.log else None)
        torch.save(dict(ema=self.average, raw=self.model.state_dict(), known=self.known, config=self.model.config,
                        log=self.log, facts=facts), f'{a.ckpt}.tmp')
        os.replace(f'{a.ckpt}.tmp', a.ckpt)


def work(rank: int, a, tokenizer: Tokenizer, pool: Pool, store: str):
    dist.init_process_group('gloo', init_method='file://' + store, rank=rank, world_size=a.workers)
    torch.set_num_threads(1)
    Worker(rank, a, tokenizer, pool).run()


def train(a, tokenizer: Tokenizer):
    """One single-threaded process per core, gradients averaged once per step: on a busy machine much faster than one
    process with two threads, which wait for each other in every operator."""
    started = time.time()
    pool = make_pool(a.pairs, a.seed, a.workers, a.cache)
    print(f'pool: {len(pool.images)} images, {time.time() - started:.0f}s', flush=True)
    store = Path(f'{a.ckpt}.store').resolve()  # where the workers meet
    store.unlink(missing_ok=True)
    mp.start_processes(work, (a, tokenizer, pool, str(store)), a.workers, start_method='fork')
    store.unlink(missing_ok=True)


if __name__ == '__main__':
    options = arguments()
    bpe = Tokenizer(options.vocab)
    if not options.export_only:
        train(options, bpe)
    export(options.export_only or options.ckpt, options.out, bpe, options.vocab)
