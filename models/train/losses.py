"""What training minimises: the contrastive loss, and losses that tell the towers directly what they should see."""
import math
from typing import NamedTuple

import torch
import torch.nn.functional as F

from batches import Batch
from scenes import SHAPES
from towers import CLIP, UNKNOWN_NOISE


class Losses(NamedTuple):
    image_to_text: torch.Tensor  # contrastive, per image
    text_to_image: torch.Tensor
    patches: torch.Tensor  # shape and colour of each patch
    count: torch.Tensor  # how many objects
    # What lies on which side: by each tower's last features, by both embeddings through one shared map (which gives the
    # directions a common code), and per patch.
    where: tuple[torch.Tensor, ...]
    relation: torch.Tensor  # true against opposite caption of a scene; scene against its sibling for a caption

    def total(self, contrastive: float, aux: float, where: float, relation: float) -> torch.Tensor:
        image, text, *others = self.where
        return (contrastive * (self.image_to_text + self.text_to_image) / 2
                + aux * (self.patches + .3 * self.count)
                + where * (2 * image + 2 * text + sum(others))
                + relation * self.relation)


def contrast(scores, weights, negatives, dim: int):
    """InfoNCE with many positives (weighted); pairs that are true but not meant stay out of the denominator."""
    against = torch.logsumexp(scores.masked_fill(~negatives, -1e4), dim, keepdim=True)
    total = weights.sum(dim)
    return ((F.softplus(against - scores) * weights).sum(dim) / total.clamp(min=1e-6))[total > .5].mean()


def sides(scores, targets):
    """Logistic loss against -1/+1; 0 is not asked."""
    asked = targets != 0
    return (F.softplus(-scores.float() * targets) * asked).sum() / asked.sum().clamp(min=1)


def patch_loss(scores, patches):
    shapes = len(SHAPES) + 1
    return (F.cross_entropy(scores[..., :shapes].flatten(0, 1), patches[..., 0].flatten())
            + F.cross_entropy(scores[..., shapes:].flatten(0, 1), patches[..., 1].flatten()))


def relation_loss(scores, opposites, flipped):
    image, true, false = opposites.T
    caption, of, sibling = flipped.T
    wrong = torch.cat([F.softplus(scores[image, false] - scores[image, true]),
                       F.softplus(scores[sibling, caption] - scores[of, caption])])
    return wrong.sum() / max(1, len(wrong))


def compute_losses(model: CLIP, batch: Batch, bf16: bool) -> tuple[Losses, torch.Tensor]:
    """The losses of a batch of tensors, and the scaled cosine of every image and caption, (B, T)."""
    with torch.autocast('cpu', torch.bfloat16, enabled=bf16):
        seen, patches = model.image_features(batch.images)
        images, patches = seen @ model.image_projection, model.aux_norm(patches)
        patch_scores, side_scores = model.aux_patch(patches), model.aux_side(patches)
        count_scores, where_image = model.aux_count(seen), model.aux_where_image(seen)
        read = model.text_features(batch.tokens, UNKNOWN_NOISE)
        texts, where_text = read @ model.text_projection, model.aux_where_text(read)
    images, texts = F.normalize(images.float(), dim=-1), F.normalize(texts.float(), dim=-1)
    scores = model.scale.clamp(max=math.log(100)).exp() * images @ texts.T
    return Losses(
        contrast(scores, batch.weights, batch.negatives, 1),
        contrast(scores, batch.weights, batch.negatives, 0),
        patch_loss(patch_scores.float(), batch.patches),
        F.cross_entropy(count_scores.float(), batch.counts),
        (sides(where_image, batch.where_images), sides(where_text, batch.where_texts),
         sides(model.aux_where(10 * images), batch.where_images), sides(model.aux_where(10 * texts), batch.where_texts),
         sides(side_scores, batch.sides)),
        relation_loss(scores, batch.opposites, batch.flipped)), scores


def batch_accuracy(scores, weights, negatives) -> torch.Tensor:
    """Share of images whose nearest caption is one that is true of them; doubtful ones do not count."""
    nearest = scores.masked_fill(~negatives & (weights == 0), -1e4).argmax(1)
    return (weights[torch.arange(len(weights)), nearest] > 0).float().mean()
