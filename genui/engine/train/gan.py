"""Training captioned GANs, and what the discriminator says of images as histograms in text."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from genui.engine.data.images import Batch, load_images
from genui.engine.device import Machine, autocast
from genui.engine.metrics.distance import Drawn, collapse, pairs_of_a_caption
from genui.engine.models.gan import GAN, gan_config
from genui.engine.sample.media import to_rgb
from genui.engine.train.diffusion import CaptionedTask, image_corpus
from genui.engine.train.task import Player, Sample, png
from genui.formats.image import sheet
from genui.recipes.gan import GanRecipe

# --- Histograms of scores, as text ------------------------------------------------------------

WIDTH = 24  # bins: one a character, as many as the sample has room for on the main screen
_EIGHTHS = " ▁▂▃▄▅▆▇█"

Scores = NDArray[np.float32]


def score_text(real: Scores, generated: Scores) -> str:
    """Two histograms over one axis, the real one above, and who is ahead.

    `real[i]` and `generated[i]` are a pair. The two are told apart by their place and their
    names, not by colour.
    """
    both = np.concatenate((real, generated))
    low, high = float(both.min()), float(both.max())
    if high - low < 1e-6:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, WIDTH + 1)
    counts = [np.histogram(each, edges)[0] for each in (real, generated)]
    most = max(int(each.max()) for each in counts)
    won = float((real > generated).mean())
    axis = f"{low:+.1f}"
    lines = [
        _score_line("real", real),
        _bars(counts[0], most),
        _bars(counts[1], most),
        axis + f"{high:+.1f}".rjust(WIDTH - len(axis)),
        _score_line("generated", generated),
        f"real is higher: {won:.0%}",
    ]
    return "\n".join(lines) + "\n"


def _bars(counts: NDArray[np.int64], most: int) -> str:
    """Block characters, full where a bin holds `most`; a bin that holds any is seen."""
    return "".join(_EIGHTHS[int(n)] for n in np.ceil(counts / most * 8))


def _score_line(name: str, scores: Scores) -> str:
    """`real          +2.1 ± 0.8`."""
    value = f"{scores.mean():+.1f} ± {scores.std():.1f}"
    return name + value.rjust(WIDTH - len(name))


# --- Training a captioned GAN by the objective of R3GAN (Huang et al. 2024) -------------------

SAMPLE_SEEDS = 6  # rows of the sample, a column a caption
SCORED = 256  # images of each kind in the histograms
CHECKED = 512  # generated images that an evaluation measures, against as many real ones

# Beside (seed, step), which latents are drawn.
_GENERATOR, _DISCRIMINATOR = 1, 2


class GanTask(CaptionedTask[GanRecipe]):
    """The relativistic pairing loss with R₁ and R₂ (section 2 of the paper).

    In a step the generator is trained first, then the discriminator, each on latents of its own and
    on the same real images; a generated image is paired with a real one of its caption.
    Both losses are ln 2 where neither is ahead.
    """

    def __init__(
        self, recipe: GanRecipe, device: torch.device, extra: dict[str, Any] | None = None
    ) -> None:
        self._images = load_images(recipe.dataset, recipe.data)
        super().__init__(recipe, device, image_corpus(recipe, self._images, extra))
        self._last: tuple[int, tuple[Tensor, Tensor]] | None = None  # a step and its batch
        self._metrics: dict[str, float] = {}
        torch.manual_seed(recipe.seed)
        network = GAN(gan_config(recipe, self._vocabulary.size))
        # Channels last is what a processor's convolutions are fastest at.
        self.model = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    # --- losses -----------------------------------------------------------------------

    @property
    def players(self) -> tuple[Player, ...]:
        """Generator and discriminator; what the images scored is logged by the second."""
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

    def _generator_loss(self, step: int) -> Tensor:
        """-ln σ(D(generated) - D(real)), averaged over pairs."""
        real, token_ids = self._real(step)
        with torch.no_grad():
            real_scores = self.model.discriminator(real, token_ids).float()
        drawn = self.model.generator(self._latents(step, _GENERATOR), token_ids)
        return F.softplus(real_scores - self.model.discriminator(drawn, token_ids).float()).mean()

    def _discriminator_loss(self, step: int) -> Tensor:
        """-ln σ(D(real) - D(generated)), averaged over pairs, and γ/2 · (R₁ + R₂).

        The penalties are measured on the first `penalty_batch` pairs: their second-order
        gradients are what a step costs most for.
        """
        recipe = self._recipe
        real, token_ids = self._real(step)
        with torch.no_grad():
            drawn = self.model.generator(self._latents(step, _DISCRIMINATOR), token_ids).float()
        count = min(recipe.penalty_batch, recipe.batch)
        scores, penalties = self._penalised(real[:count], drawn[:count], token_ids[:count])
        if count < recipe.batch:
            rest = torch.cat((real[count:], drawn[count:]))
            more = self.model.discriminator(rest, token_ids[count:].repeat(2, 1)).float()
            scores = torch.cat((scores, more.view(2, -1)), dim=1)
        real_scores, drawn_scores = scores
        self._metrics = {
            "real_score": float(real_scores.detach().mean()),
            "generated_score": float(drawn_scores.detach().mean()),
            "real_score_spread": float(real_scores.detach().std(correction=0)),
            "generated_score_spread": float(drawn_scores.detach().std(correction=0)),
            "real_wins": float((real_scores > drawn_scores).float().mean()),
            "real_penalty": float(penalties[0].detach()),
            "generated_penalty": float(penalties[1].detach()),
        }
        return F.softplus(drawn_scores - real_scores).mean() + recipe.penalty / 2 * penalties.sum()

    def _penalised(self, real: Tensor, drawn: Tensor, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Scores [2, n] of real and generated images, and of each the mean squared length of
        the score's gradient by the image, [2] (R₁: Mescheder et al. 2018; R₂ likewise)."""
        images = torch.cat((real, drawn)).detach().requires_grad_()
        scores = self.model.discriminator(images, token_ids.repeat(2, 1)).float()
        (slope,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
        # Summed at full precision: of small squares a bf16 sum keeps little.
        lengths = slope.float().square().sum(dim=(1, 2, 3))
        return scores.view(2, -1), lengths.view(2, -1).mean(dim=1)

    # --- data -------------------------------------------------------------------------

    def _real(self, step: int) -> tuple[Tensor, Tensor]:
        """The images and token ids of a step, the same for both players."""
        if self._last is None or self._last[0] != step:
            rng = np.random.default_rng((self._recipe.seed, step))
            chosen = rng.choice(self._images.train, self._recipe.batch)
            self._last = step, self._tensors(self._images.batch(chosen, rng))
        return self._last[1]

    def _tensors(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Images [B, channels, 32, 32] in -1 to 1, and token ids [B, L]."""
        rgb = torch.from_numpy(batch.rgb).to(self._device)
        if self._recipe.channels == 1:
            rgb = rgb.mean(dim=1, keepdim=True)
        return rgb.contiguous(memory_format=torch.channels_last), self._token_ids(batch.captions)

    def _latents(self, step: int, player: int) -> Tensor:
        return self._normal(self._recipe.batch, self._recipe.seed, step, player)

    def _normal(self, count: int, *key: int) -> Tensor:
        rng = np.random.default_rng(key)
        latents = rng.standard_normal((count, self._recipe.latent), np.float32)
        return torch.from_numpy(latents).to(self._device)

    # --- looking at it ----------------------------------------------------------------

    @torch.inference_mode()
    def evaluate(self, model: nn.Module, machine: Machine, whole: bool) -> dict[str, float]:
        """`coverage` of real images by generated ones and their `variety`, as
        `collapse` has them: on held-out images where there are enough, else on
        trained ones, the same every time."""
        assert isinstance(model, GAN)
        images = self._images
        pool = images.held_out if len(images.held_out) >= CHECKED else images.train
        rng = np.random.default_rng(0)
        drawn: list[Drawn] = []
        for part, chosen in enumerate(pairs_of_a_caption(images.captions, pool, CHECKED, rng)):
            real, token_ids = self._tensors(images.batch(chosen, rng))
            latents = self._normal(len(chosen), self._recipe.seed, part)
            with autocast(machine):
                made = model.generator(latents, token_ids)
            drawn.append(Drawn(real.cpu().numpy(), made.float().cpu().numpy()))
        return collapse(*drawn)

    @torch.inference_mode()
    def sample(self, model: nn.Module, machine: Machine) -> tuple[Sample, ...]:
        """The fixed captions from fixed seeds, and what the discriminator thinks, as text.

        The scores are those of the networks being trained, not of their averages.
        """
        assert isinstance(model, GAN)
        across = len(self._captions)
        latents = self._normal(SAMPLE_SEEDS, self._recipe.seed).repeat_interleave(across, dim=0)
        token_ids = self._token_ids(list(self._captions)).repeat(SAMPLE_SEEDS, 1)
        with autocast(machine):
            made = model.generator(latents, token_ids)
        image = sheet(list(to_rgb(made)), across)
        scores = score_text(*self._scores(machine))
        return Sample(".png", png(image)), Sample(".txt", scores.encode())

    def _scores(self, machine: Machine) -> tuple[np.ndarray, np.ndarray]:
        """Scores [SCORED] of trained and of generated images of the same captions."""
        rng = np.random.default_rng(1)
        chosen = rng.choice(self._images.train, SCORED)
        real, token_ids = self._tensors(self._images.batch(chosen, rng))
        with autocast(machine):
            made = self.model.generator(self._normal(SCORED, 1), token_ids).float()
            made_scores = self.model.discriminator(made, token_ids)
            real_scores = self.model.discriminator(real, token_ids)
        return real_scores.float().cpu().numpy(), made_scores.float().cpu().numpy()
