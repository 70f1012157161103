"""The training of captioned GANs, and histograms of the discriminator's scores as text."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from genui.engine.data.image_datasets import load_images
from genui.engine.data.images import Batch
from genui.engine.data.preparation import QUIET, Preparation
from genui.engine.device import Machine, autocast, to_device
from genui.engine.sample.media import to_rgb
from genui.engine.train.batches import IndexSkip
from genui.engine.train.diffusion import CaptionedTask, image_corpus
from genui.engine.train.task import WHOLE, PerStep, Player, Sample, Share, png
from genui.formats.image import sheet
from genui.kinds.gan.collapse import SampleSet, collapse, sample_caption_pairs
from genui.kinds.gan.network import GAN, gan_config
from genui.kinds.gan.recipe import GanRecipe
from genui.runs.recomputed import Example

# --- Histograms of scores, as text ------------------------------------------------------------

WIDTH = 24  # bins, one for each character: the width of the sample on the main screen
_EIGHTHS = " ▁▂▃▄▅▆▇█"

Scores = NDArray[np.float32]


def score_text(real: Scores, generated: Scores) -> str:
    """Two histograms over one axis, real above generated, and how often the real score is higher.

    `real[i]` and `generated[i]` are a pair. Position and names distinguish the two, not colour.
    """
    both = np.concatenate((real, generated))
    low, high = float(both.min()), float(both.max())
    if high - low < 1e-6:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, WIDTH + 1)
    counts = [np.histogram(each, edges)[0] for each in (real, generated)]
    most = max(int(each.max()) for each in counts)
    # Any count above 0 gets at least one eighth.
    bars = ["".join(_EIGHTHS[int(n)] for n in np.ceil(each / most * 8)) for each in counts]
    lines = [
        _justify("real", f"{real.mean():+.1f} ± {real.std():.1f}"),
        *bars,
        _justify(f"{low:+.1f}", f"{high:+.1f}"),
        _justify("generated", f"{generated.mean():+.1f} ± {generated.std():.1f}"),
        f"real is higher: {float((real > generated).mean()):.0%}",
    ]
    return "\n".join(lines) + "\n"


def _justify(left: str, right: str) -> str:
    return left + right.rjust(WIDTH - len(left))


# --- Training by the objective of R3GAN (Huang et al. 2024) -----------------------------------

SAMPLE_SEEDS = 6  # rows of the sample, with a column for each caption
SCORED = 256  # images of each kind in the histograms
CHECKED = 512  # generated images of an evaluation, and as many real ones

# Which latents of a step, after (seed, step) in the seed sequence.
_GENERATOR, _DISCRIMINATOR = 1, 2


class GanTask(CaptionedTask[GanRecipe]):
    """The relativistic pairing loss with R₁ and R₂ (section 2 of the paper).

    A step trains the generator, then the discriminator, with different latents and the same real
    images. Generated images are paired with real ones of the same caption. Both losses are ln 2 if
    the scores of a pair are equal.
    """

    def __init__(
        self,
        recipe: GanRecipe,
        device: torch.device,
        extra: dict[str, Any] | None = None,
        preparation: Preparation = QUIET,
    ) -> None:
        self._images = load_images(recipe.dataset, recipe.data, True, preparation)
        corpus = image_corpus(recipe, recipe.caption_words, self._images, extra)
        super().__init__(recipe, device, corpus)
        self._skip = IndexSkip(recipe.skip, self._images.train)
        self._real = PerStep(self._draw)
        self._metrics: dict[str, float] = {}
        torch.manual_seed(recipe.seed)
        network = GAN(gan_config(recipe, self._vocabulary.size))
        # Convolutions on a CPU are fastest with channels last.
        self.model = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def players(self) -> tuple[Player, ...]:
        """Generator and discriminator; the latter logs the scores."""
        network = self.model
        return (
            Player("generator", network.generator, self._generator_loss),
            Player(
                "discriminator",
                network.discriminator,
                self._discriminator_loss,
                lambda: self._metrics,
            ),
        )

    def _generator_loss(self, step: int, share: Share = WHOLE) -> Tensor:
        """-ln σ(D(generated) - D(real)), averaged over pairs."""
        recipe = self._recipe
        rows = share.rows(recipe.batch)
        real, token_ids = (each[rows] for each in self._real(step))
        with torch.no_grad():
            real_scores = self.model.discriminator(real, token_ids).float()
        generated = self.model.generator(self._latents(step, _GENERATOR)[rows], token_ids)
        scores = self.model.discriminator(generated, token_ids).float()
        return share.scale(F.softplus(real_scores - scores).mean(), len(real), recipe.batch)

    def _discriminator_loss(self, step: int, share: Share = WHOLE) -> Tensor:
        """-ln σ(D(real) - D(generated)), averaged over pairs, plus γ/2 · (R₁ + R₂).

        The penalties are computed on the first `penalty_batch` pairs only: their second-order
        gradients are the most expensive part of a step. A share has its part of those, and of the
        others.
        """
        recipe = self._recipe
        real, token_ids = self._real(step)
        latents = self._latents(step, _DISCRIMINATOR)
        penalised = min(recipe.penalty_batch, recipe.batch)
        rows = share.rows(penalised)
        count = rows.stop - rows.start
        if share != WHOLE:
            # From the other end, so that the shares are of equal size.
            others = Share(share.count - 1 - share.index, share.count).rows(
                recipe.batch - penalised
            )
            real, token_ids, latents = (
                torch.cat((each[rows], each[penalised:][others]))
                for each in (real, token_ids, latents)
            )
        with torch.no_grad():
            generated = self.model.generator(latents, token_ids).float()
        parts, penalty = [], real.new_zeros(2)
        if count:
            scores, penalty = self._penalties(real[:count], generated[:count], token_ids[:count])
            parts.append(scores)
        if count < len(real):
            rest = torch.cat((real[count:], generated[count:]))
            more = self.model.discriminator(rest, token_ids[count:].repeat(2, 1)).float()
            parts.append(more.view(2, -1))
        real_scores, generated_scores = torch.cat(parts, dim=1)
        self._metrics = {
            "real_score": float(real_scores.detach().mean()),
            "generated_score": float(generated_scores.detach().mean()),
            "real_score_spread": float(real_scores.detach().std(correction=0)),
            "generated_score_spread": float(generated_scores.detach().std(correction=0)),
            "real_wins": float((real_scores > generated_scores).float().mean()),
            "real_penalty": float(penalty[0].detach()),
            "generated_penalty": float(penalty[1].detach()),
        }
        loss = share.scale(
            F.softplus(generated_scores - real_scores).mean(), len(real), recipe.batch
        )
        return loss + share.scale(recipe.penalty / 2 * penalty.sum(), count, penalised)

    def _penalties(
        self, real: Tensor, generated: Tensor, token_ids: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Scores [2, n] of real and generated images, and R₁ and R₂, [2]: the mean squared norm of
        the score's gradient by the image (Mescheder et al. 2018)."""
        images = torch.cat((real, generated)).detach().requires_grad_()
        scores = self.model.discriminator(images, token_ids.repeat(2, 1)).float()
        (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
        # Summed in fp32: a bf16 sum of small squares loses most of them.
        norms = gradient.float().square().sum(dim=(1, 2, 3))
        return scores.view(2, -1), norms.view(2, -1).mean(dim=1)

    def _draw(self, step: int) -> tuple[Tensor, Tensor]:
        """The images and token ids of a step, the same for both players."""
        return self._tensors(self._draw_images(step)[1])

    def _draw_images(self, step: int) -> tuple[NDArray[np.int64], Batch]:
        """The indices of a step's images, and the images in random colours."""
        rng = np.random.default_rng((self._recipe.seed, step))
        drawn = rng.choice(self._images.train, self._recipe.batch)
        indices = self._skip.replace(drawn, rng)
        return indices, self._images.batch(indices, rng)

    def examples(self, step: int) -> list[Example]:
        indices, batch = self._draw_images(step)
        pictures = to_rgb(self._real(step)[0])
        return [
            Example(
                row=row,
                source=self._images.describe_source(index),
                place=str(index),
                text=caption,
                image=png(picture),
            )
            for row, (index, caption, picture) in enumerate(
                zip(indices.tolist(), batch.captions, pictures, strict=True)
            )
        ]

    def measure_examples(self, step: int) -> dict[str, NDArray[np.float64]]:
        """The loss of each pair in both networks, without the penalties."""
        real, token_ids = self._real(step)
        real_scores = self.model.discriminator(real, token_ids).float()
        losses = {}
        for name, player, sign in (
            ("generator", _GENERATOR, 1),
            ("discriminator", _DISCRIMINATOR, -1),
        ):
            generated = self.model.generator(self._latents(step, player), token_ids)
            scores = self.model.discriminator(generated, token_ids).float()
            losses[f"{name}_loss"] = F.softplus(sign * (real_scores - scores))
        return {name: each.double().cpu().numpy() for name, each in losses.items()}

    def _tensors(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Images [B, channels, 32, 32] in -1 to 1, and token ids [B, L]."""
        rgb = to_device(batch.rgb, self._device)
        if self._recipe.channels == 1:
            rgb = rgb.mean(dim=1, keepdim=True)
        return rgb.contiguous(memory_format=torch.channels_last), self._token_ids(batch.captions)

    def _latents(self, step: int, player: int) -> Tensor:
        return self._normal(self._recipe.batch, self._recipe.seed, step, player)

    def _normal(self, count: int, *seed: int) -> Tensor:
        rng = np.random.default_rng(seed)
        latents = rng.standard_normal((count, self._recipe.latent), np.float32)
        return to_device(latents, self._device)

    @torch.inference_mode()
    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        """`coverage` of real images by generated ones and `variety`, as in `collapse`.

        On held-out images if there are enough, else on trained ones; the same every time.
        """
        assert isinstance(model, GAN)
        images = self._images
        pool = images.held_out if len(images.held_out) >= CHECKED else images.train
        rng = np.random.default_rng(0)
        sets: list[SampleSet] = []
        for part, indices in enumerate(sample_caption_pairs(images.captions, pool, CHECKED, rng)):
            real, token_ids = self._tensors(images.batch(indices, rng))
            latents = self._normal(len(indices), self._recipe.seed, part)
            with autocast(machine):
                generated = model.generator(latents, token_ids)
            sets.append(SampleSet(real.cpu().numpy(), generated.float().cpu().numpy()))
        return collapse(*sets)

    @torch.inference_mode()
    def sample(self, model: nn.Module, machine: Machine) -> tuple[Sample, ...]:
        """The sample captions from fixed seeds, and histograms of the discriminator's scores.

        The scores come from the networks in training, not from their averages.
        """
        assert isinstance(model, GAN)
        columns = len(self._captions)
        latents = self._normal(SAMPLE_SEEDS, self._recipe.seed).repeat_interleave(columns, dim=0)
        token_ids = self._token_ids(list(self._captions)).repeat(SAMPLE_SEEDS, 1)
        with autocast(machine):
            generated = model.generator(latents, token_ids)
        image = sheet(list(to_rgb(generated)), columns)
        scores = score_text(*self._scores(machine))
        return Sample(".png", png(image), 0), Sample(".txt", scores.encode(), 0)

    def _scores(self, machine: Machine) -> tuple[np.ndarray, np.ndarray]:
        """Scores [SCORED] of trained images and of generated ones of the same captions."""
        rng = np.random.default_rng(1)
        indices = rng.choice(self._images.train, SCORED)
        real, token_ids = self._tensors(self._images.batch(indices, rng))
        with autocast(machine):
            generated = self.model.generator(self._normal(SCORED, 1), token_ids).float()
            generated_scores = self.model.discriminator(generated, token_ids)
            real_scores = self.model.discriminator(real, token_ids)
        return real_scores.float().cpu().numpy(), generated_scores.float().cpu().numpy()
