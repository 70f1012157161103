"""A captioned diffusion Transformer for short clips, whole in one file.

A token is a patch of a few frames; all tokens of a clip and the caption's words attend to
each other, over space and time at once. As with pictures the caption alone draws a coarse
picture, the *canvas*: here the figure itself, upright. Where it is in a noisy frame is first
told by its colour, which the caption names: a filter for it, the *finder*. Halfway through
the tokens say the figure's *pose* in every frame; the canvas, moved there by a spatial
transformer (Jaderberg et al. 2015), joins them, and once more, by the pose corrected, at the end.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genui.engine.models.dit import (
    DIT_SIDE,
    NOISE_FEATURES,
    Block,
    CaptionEncoder,
    Denoiser,
    Network,
    noise_features,
)
from genui.recipes.diffusion import VideoRecipe

VIDEO_FRAMES = 16
CHANNELS = 3 * VIDEO_FRAMES  # of a clip whose time is folded into its channels: [48, 32, 32]
INNER = 28.0  # pixels of the canvas's 32 that a pose's size is the side of
POSE_NUMBERS = 5
PLACE_UNIT = 8.0  # pixels
SETTLED = 0.5  # σ below which only grain is left to be taken away
SHARPLY = 8  # the power of a share of cover by which a pixel counts for a colour
CELL, WINDOW = 4, 12  # pixels: how far apart the places are that the finder weighs, how large
FINER = 2  # the canvas is put in its last place at so many times a frame's size: no stairs


@dataclass(frozen=True)
class VideoDiTConfig:
    """Sizes of the network. `words` counts the vocabulary, `caption_words` the longest caption."""

    words: int
    caption_words: int
    caption_width: int
    patch: int
    span: int
    layers: int
    width: int
    heads: int


def video_dit_config(recipe: VideoRecipe, words: int) -> VideoDiTConfig:
    """The network a recipe asks for, for a vocabulary of that many rows."""
    return VideoDiTConfig(
        words=words,
        caption_words=recipe.caption_words,
        caption_width=recipe.caption_width,
        patch=recipe.patch,
        span=recipe.span,
        layers=recipe.layers,
        width=recipe.width,
        heads=recipe.heads,
    )


class Seen(NamedTuple):
    """What the network makes of a noisy clip."""

    out: Tensor  # [B, 48, 32, 32]
    canvas: Tensor  # [B, 32, 32], the figure that the caption draws, 0 to 1
    poses: tuple[Tensor, Tensor]  # [B, 16, 5] halfway and at the end, as `pose_numbers` has them


class VideoDiT(Network):
    """Noisy clips [B, 48, 32, 32], ln σ / 4 [B] and word numbers [B, L] to [B, 48, 32, 32].

    Channel 3·t + c is colour c of frame t.
    """

    def __init__(self, config: VideoDiTConfig) -> None:
        super().__init__()
        self.config = config
        self.caption_words = config.caption_words
        width, patch, span = config.width, config.patch, config.span
        pixels = span * patch * patch
        self.caption = CaptionEncoder(config.words, config.caption_words, config.caption_width)
        self.words_in = nn.Linear(config.caption_width, width)
        self.patches_in = nn.Linear(3 * pixels, width)
        self.finder = nn.Linear(width, 4)  # a weight a colour, and a bias
        self.found_in = nn.Linear(pixels, width)
        self.centres_in = nn.Linear(2 * span, width)
        self.canvas_in = nn.Linear(pixels, width)
        self.place = nn.Parameter(torch.randn((DIT_SIDE // patch) ** 2, width) * 0.1)
        self.time = nn.Parameter(torch.randn(VIDEO_FRAMES // span, 1, width) * 0.1)
        self.noise = nn.Sequential(
            nn.Linear(NOISE_FEATURES, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.caption_to_noise = nn.Linear(config.caption_width, width)
        self.modulation = nn.Linear(width, 6 * width)
        self.blocks = nn.ModuleList(Block(width, config.heads) for _ in range(config.layers))
        self.canvas = nn.Sequential(
            nn.Linear(config.caption_width, width), nn.SiLU(), nn.Linear(width, DIT_SIDE * DIT_SIDE)
        )
        self.pose = nn.Linear(width, span * POSE_NUMBERS)
        self.correction = nn.Linear(width, span * POSE_NUMBERS)
        self.patches_out = nn.Linear(width, 3 * pixels)
        self.gains_out = nn.Linear(width, span * 6)  # a frame: 3 colours of canvas, 3 of the input
        for zero in (
            self.modulation,
            self.pose,
            self.correction,
            self.patches_out,
            self.gains_out,
        ):
            nn.init.zeros_(zero.weight)
            nn.init.zeros_(zero.bias)

    def draw_canvas(self, words: Tensor) -> Tensor:
        """The figure that a caption alone draws: [B, 32, 32], about 0 to 1."""
        return self._canvas(self.caption(words)[1])

    def forward(self, x: Tensor, noise_level: Tensor, words: Tensor) -> Tensor:
        return self.see(x, noise_level, words).out

    def see(self, x: Tensor, noise_level: Tensor, words: Tensor) -> Seen:
        """What `forward` returns and what it was made of."""
        config = self.config
        tokens, pooled = self.caption(words)
        canvas = self._canvas(pooled)
        # Only its own loss teaches the canvas, and only theirs the poses: gradients through
        # a picture that is moved say little until both are nearly right.
        figure = canvas.detach().float() * (words > 0).any(1).view(-1, 1, 1)
        frames = x.unflatten(1, (VIDEO_FRAMES, 3))
        pixels = to_patches(frames, config.patch, config.span)
        condition = F.silu(self.noise(noise_features(noise_level)) + self.caption_to_noise(pooled))
        modulation = self.modulation(condition)
        found, centres = self._found(frames, condition)
        h = self.patches_in(pixels) + self.found_in(found)
        count = h.shape[1]
        h = h + (self.time + self.place).view(count, -1) + self._for_each(centres, count)
        h = torch.cat((h, self.words_in(tokens)), dim=1)
        half = config.layers // 2
        for block in self.blocks[:half]:
            h = block(h, modulation)
        pose = F.pad(centres, (0, POSE_NUMBERS - 2)) + self._per_frame(self.pose, h[:, :count])
        moved = self._moved(figure, pose)
        h = torch.cat((h[:, :count] + self.canvas_in(moved), h[:, count:]), dim=1)
        for block in self.blocks[half:]:
            h = block(h, modulation)
        h = h[:, :count]
        corrected = pose.detach() + self._per_frame(self.correction, h)
        moved = self._moved(figure, corrected, FINER)
        h = F.rms_norm(h, h.shape[-1:])
        out = self.patches_out(h) + self._pixelwise(self.gains_out(h), moved, pixels)
        clip = from_patches(out, config.patch, config.span).flatten(1, 2)
        return Seen(clip, canvas, (pose, corrected))

    def _canvas(self, pooled: Tensor) -> Tensor:
        return self.canvas(pooled).view(-1, DIT_SIDE, DIT_SIDE)

    def _found(self, frames: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """What of every pixel looks like the figure, in patches [B, N, span·patch²], and the
        centres [B, 16, 2] of it, as `pose_numbers` has them."""
        *colours, bias = self.finder(condition).float().unbind(1)
        weights = torch.stack(colours, dim=1).view(-1, 1, 3, 1, 1)
        likeness = (frames.float() * weights).sum(2) + bias.view(-1, 1, 1, 1)
        edge = (WINDOW - CELL) // 2
        windows = F.avg_pool2d(likeness, WINDOW, CELL, edge, count_include_pad=False).flatten(2)
        chances = (windows * WINDOW**2).softmax(-1).unflatten(-1, (DIT_SIDE // CELL, -1))
        places = (torch.arange(DIT_SIDE // CELL, device=frames.device) + 0.5) * CELL - DIT_SIDE / 2
        across = (chances.sum(2) * places).sum(-1)
        down = (chances.sum(3) * places).sum(-1)
        centres = torch.stack((across, down), dim=-1) / PLACE_UNIT
        return to_patches(likeness.unsqueeze(2), self.config.patch, self.config.span), centres

    def _for_each(self, centres: Tensor, count: int) -> Tensor:
        """The centres of a token's frames, for each of `count` tokens: [B, N, W]."""
        told = self.centres_in(centres.view(len(centres), VIDEO_FRAMES // self.config.span, -1))
        return told.repeat_interleave(count // told.shape[1], dim=1)

    def _per_frame(self, head: nn.Linear, h: Tensor) -> Tensor:
        """A head's numbers for every frame, the mean of what the tokens of its place say."""
        said = head(F.rms_norm(h, h.shape[-1:])).float()
        times = VIDEO_FRAMES // self.config.span
        return (
            said.view(len(h), times, -1, self.config.span * POSE_NUMBERS)
            .mean(2)
            .view(len(h), VIDEO_FRAMES, POSE_NUMBERS)
        )

    def _moved(self, figure: Tensor, pose: Tensor, finer: int = 1) -> Tensor:
        """The figure in these poses, in patches [B, N, span·patch²]."""
        frames = moved(figure, pose.detach(), finer)
        return to_patches(frames.unsqueeze(2), self.config.patch, self.config.span)

    def _pixelwise(self, gains: Tensor, moved: Tensor, pixels: Tensor) -> Tensor:
        """Every token's share of its own pixels of the canvas and of the input.

        A patch has more pixels than a token has numbers: what is sharp must get past it.
        """
        span = self.config.span
        of_canvas, of_input = gains.unflatten(-1, (2, span, 3, 1)).unbind(2)
        by_pixel = moved.unflatten(-1, (span, 1, -1))
        return (of_canvas * by_pixel + of_input * pixels.unflatten(-1, (span, 3, -1))).flatten(2)


def to_patches(frames: Tensor, patch: int, span: int) -> Tensor:
    """[B, 16, C, 32, 32] to tokens [B, N, span·C·patch²], those of the same time together."""
    B, T, C, _, _ = frames.shape
    side = DIT_SIDE // patch
    parts = frames.view(B, T // span, span, C, side, patch, side, patch)
    return parts.permute(0, 1, 4, 6, 2, 3, 5, 7).reshape(B, -1, span * C * patch * patch)


def from_patches(tokens: Tensor, patch: int, span: int) -> Tensor:
    """What `to_patches` undoes, of three channels: tokens to [B, 16, 3, 32, 32]."""
    side = DIT_SIDE // patch
    parts = tokens.view(len(tokens), VIDEO_FRAMES // span, side, side, span, 3, patch, patch)
    return parts.permute(0, 1, 4, 5, 2, 6, 3, 7).reshape(
        len(tokens), VIDEO_FRAMES, 3, DIT_SIDE, DIT_SIDE
    )


def pose_numbers(poses: Tensor) -> Tensor:
    """Poses [B, 16, 4] in pixels and radians as a network is to say them: [B, 16, 5]."""
    x, y, size, angle = poses.unbind(-1)
    middle = DIT_SIDE / 2
    place = ((x - middle) / PLACE_UNIT, (y - middle) / PLACE_UNIT, (size / middle).log() * 2)
    return torch.stack((*place, angle.cos(), angle.sin()), dim=-1)


def moved(figure: Tensor, pose: Tensor, finer: int = FINER) -> Tensor:
    """Figures [B, 32, 32] put where numbers [B, 16, 5] say: [B, 16, 32, 32].

    Drawn `finer` times as fine in both directions, then averaged.
    """
    x, y, size, cos, sin = pose.float().unbind(-1)
    length = (cos**2 + sin**2).sqrt().clamp(min=1e-3)
    cos, sin = cos / length, sin / length
    scale = INNER / (DIT_SIDE / 2) * (-size / 2).clamp(-1.5, 1.5).exp()  # source pixels a pixel
    # From a frame's coordinates, -1 to 1, to the canvas's: back to the middle, turned, enlarged.
    across, down = x * PLACE_UNIT / (DIT_SIDE / 2), y * PLACE_UNIT / (DIT_SIDE / 2)
    a, b = scale * cos, scale * sin
    rows = (a, -b, -(a * across - b * down), b, a, -(b * across + a * down))
    theta = torch.stack(rows, dim=-1).view(-1, 2, 3)
    fine = finer * DIT_SIDE
    grid = F.affine_grid(theta, [len(theta), 1, fine, fine], align_corners=False)
    source = figure.float().clamp(0, 1).repeat_interleave(VIDEO_FRAMES, 0).unsqueeze(1)
    drawn = F.grid_sample(source, grid, align_corners=False)
    return F.avg_pool2d(drawn, finer).view(-1, VIDEO_FRAMES, DIT_SIDE, DIT_SIDE)


def two_colours(clip: Tensor, alpha: Tensor) -> Tensor:
    """A clip [B, 48, 32, 32] as one colour on another where alpha [B, 16, 32, 32] has it.

    The ground is the mean of what is hardly covered, the figure's colour that of what is most,
    less its share of ground.
    """
    frames = clip.unflatten(1, (VIDEO_FRAMES, 3))
    cover = alpha.unsqueeze(2).clamp(0, 1)
    bare, solid = (1 - cover) ** SHARPLY, cover**SHARPLY
    over = (1, 3, 4)
    ground = (frames * bare).sum(over) / bare.sum(over).clamp(min=1e-6)
    mean = (frames * solid).sum(over) / solid.sum(over).clamp(min=1e-6)
    share = (cover * solid).sum(over) / solid.sum(over).clamp(min=1e-6)
    figure = ground + (mean - ground) / share.clamp(min=0.1)
    ground, figure = (colour[:, None, :, None, None] for colour in (ground, figure))
    return (ground + cover * (figure - ground)).clamp(-1, 1).flatten(1, 2)


class VideoDenoiser(Denoiser[VideoDiT]):
    """EDM's denoiser of clips, with what its network learns beside denoising."""

    EMBEDDING_RATE = 4.0  # rare words see few gradients: their vectors learn faster
    unguided_below = SETTLED

    def forward(self, x: Tensor, sigma: Tensor, words: Tensor) -> Tensor:
        """The expected clean clip of x = clean + σ·noise; x [B, 48, 32, 32], σ [B].

        Below `SETTLED` everything but grain is decided: of a captioned clip the guess is then
        the nearest one of a figure in one colour that moves on a ground in another.
        """
        c_skip, c_out, c_in = self._coefficients(sigma)
        seen = self.network.see(c_in * x, sigma.log() / 4, words)
        guess = c_skip * x + c_out * seen.out.float()
        settled = (sigma < SETTLED) & (words > 0).any(1)
        if not settled.any():
            return guess
        flat = two_colours(guess, moved(seen.canvas.detach(), seen.poses[1]))
        return torch.where(settled.view(-1, 1, 1, 1), flat, guess)

    def losses(
        self, clean: Tensor, noise: Tensor, sigma: Tensor, words: Tensor, poses: Tensor
    ) -> tuple[Tensor, Tensor]:
        """EDM's denoising error [B], and the poses' squared error [B] against `pose_numbers`."""
        c_skip, c_out, c_in = self._coefficients(sigma)
        noisy = clean + sigma.view(-1, 1, 1, 1) * noise
        target = (clean - c_skip * noisy) / c_out
        seen = self.network.see(c_in * noisy, sigma.log() / 4, words)
        denoising = (seen.out.float() - target).square().mean(dim=(1, 2, 3))
        wanted = pose_numbers(poses)
        posing = sum((pose - wanted).square().sum(-1).mean(-1) for pose in seen.poses)
        return denoising, torch.as_tensor(posing)
