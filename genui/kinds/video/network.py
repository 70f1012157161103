"""The captioned diffusion Transformer for short clips.

A token is a patch of a few frames. All tokens of a clip and the words of the caption attend to each
other, over space and time at once.

1. The *canvas*, the figure upright, is predicted from the caption alone.
2. The *finder*, a colour filter that depends on the caption, finds the figure in each noisy frame.
3. Halfway through the blocks the tokens predict the *pose* of the figure in every frame. The canvas
   is moved there by a spatial transformer (Jaderberg et al. 2015) and added to the tokens.
4. After the last block the pose is corrected, and the moved canvas is added to the output.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genui.engine.models.config import config_from
from genui.engine.models.denoisers import EDMDenoiser
from genui.engine.models.dit import DIT_SIDE, CaptionedTransformer, DiTConfig, zeroed
from genui.kinds.video.recipe import VideoRecipe

VIDEO_FRAMES = 16
CHANNELS = 3 * VIDEO_FRAMES  # of a clip whose time is folded into its channels: [48, 32, 32]
INNER = 28.0  # pixels of the canvas's 32 that correspond to a pose's size
POSE_NUMBERS = 5
PLACE_UNIT = 8.0  # pixels
SHARPNESS = 8  # exponent of coverage: only pixels almost wholly covered or bare define a colour
CELL, WINDOW = 4, 12  # pixels: stride and size of the finder's windows
FINER = 2  # supersampling of the last placement, against staircase edges


class Prediction(NamedTuple):
    """The predictions for noisy clips."""

    out: Tensor  # [B, 48, 32, 32], the network's output for EDM
    canvas: Tensor  # [B, 32, 32], the figure predicted from the caption, 0 to 1
    poses: tuple[Tensor, Tensor]  # halfway and corrected, [B, 16, 5] as in `pose_numbers`


@dataclass(frozen=True)
class VideoConfig(DiTConfig):
    span: int = 1  # frames per token


class VideoDiT(CaptionedTransformer):
    """Noisy clips [B, 48, 32, 32], ln σ / 4 [B] and token ids [B, L] to [B, 48, 32, 32].

    Channel 3·t + c is colour c of frame t.
    """

    config: VideoConfig

    def __init__(self, config: VideoConfig) -> None:
        super().__init__(config)
        width, patch, span = config.width, config.patch, config.span
        pixels = span * patch * patch
        self.patches_in = nn.Linear(3 * pixels, width)
        self.finder = nn.Linear(width, 4)  # a weight for each colour channel, and a bias
        self.found_in = nn.Linear(pixels, width)
        self.centres_in = nn.Linear(2 * span, width)
        self.canvas_in = nn.Linear(pixels, width)
        self.place = nn.Parameter(torch.empty((DIT_SIDE // patch) ** 2, width))
        self.time = nn.Parameter(torch.empty(VIDEO_FRAMES // span, 1, width))
        for parameter in (self.place, self.time):
            nn.init.normal_(parameter, std=0.1)
        self.add_blocks()
        self.canvas = nn.Sequential(
            nn.Linear(config.caption_width, width), nn.SiLU(), nn.Linear(width, DIT_SIDE * DIT_SIDE)
        )
        self.pose = zeroed(nn.Linear(width, span * POSE_NUMBERS))
        self.correction = zeroed(nn.Linear(width, span * POSE_NUMBERS))
        self.patches_out = zeroed(nn.Linear(width, 3 * pixels))
        # For each frame: gains of the canvas and of the input, for 3 colour channels each.
        self.gains_out = zeroed(nn.Linear(width, span * 6))

    def draw_canvas(self, token_ids: Tensor) -> Tensor:
        """The figure predicted from captions alone: [B, 32, 32], about 0 to 1."""
        return self._canvas(self.caption(token_ids)[1])

    def forward(self, x: Tensor, noise_level: Tensor, token_ids: Tensor) -> Tensor:
        return self.predict(x, noise_level, token_ids).out

    def predict(self, x: Tensor, noise_level: Tensor, token_ids: Tensor) -> Prediction:
        """The output of `forward`, the canvas and the poses."""
        config = self.config
        words, pooled = self.caption(token_ids)
        canvas = self._canvas(pooled)
        # Canvas and poses are trained by their own losses only: gradients through a moved image
        # are not useful until both are nearly right.
        figure = canvas.detach().float() * (token_ids > 0).any(1).view(-1, 1, 1)
        frames = x.unflatten(1, (VIDEO_FRAMES, 3))
        pixels = to_patches(frames, config.patch, config.span)
        condition = self.condition(noise_level, pooled)
        modulation = self.modulation(condition)
        likeness, centres = self._locate(frames, condition)
        h = self.patches_in(pixels) + self.found_in(likeness)
        count = h.shape[1]
        h = h + (self.time + self.place).view(count, -1) + self._embed_centres(centres, count)
        h = torch.cat((h, self.words_in(words)), dim=1)
        half = config.layers // 2
        for block in self.blocks[:half]:
            h = block(h, modulation)
        pose = F.pad(centres, (0, POSE_NUMBERS - 2)) + self._per_frame(self.pose, h[:, :count])
        in_place = self._place(figure, pose)
        h = torch.cat((h[:, :count] + self.canvas_in(in_place), h[:, count:]), dim=1)
        for block in self.blocks[half:]:
            h = block(h, modulation)
        h = h[:, :count]
        corrected = pose.detach() + self._per_frame(self.correction, h)
        in_place = self._place(figure, corrected, FINER)
        h = F.rms_norm(h, h.shape[-1:])
        out = self.patches_out(h) + self._apply_gains(self.gains_out(h), in_place, pixels)
        clip = from_patches(out, config.patch, config.span).flatten(1, 2)
        return Prediction(clip, canvas, (pose, corrected))

    def _canvas(self, pooled: Tensor) -> Tensor:
        return self.canvas(pooled).view(-1, DIT_SIDE, DIT_SIDE)

    def _locate(self, frames: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Find the figure in noisy frames [B, 16, 3, 32, 32] by its colour.

        Returns how likely each pixel belongs to it, a logit, in patches [B, N, span·patch²], and
        the centres [B, 16, 2] in units of `pose_numbers`.
        """
        *colours, bias = self.finder(condition).float().unbind(1)
        weights = torch.stack(colours, dim=1).view(-1, 1, 3, 1, 1)
        likeness = (frames.float() * weights).sum(2) + bias.view(-1, 1, 1, 1)  # [B, 16, 32, 32]
        edge = (WINDOW - CELL) // 2
        windows = F.avg_pool2d(likeness, WINDOW, CELL, edge, count_include_pad=False).flatten(2)
        probabilities = (windows * WINDOW**2).softmax(-1).unflatten(-1, (DIT_SIDE // CELL, -1))
        middles = (torch.arange(DIT_SIDE // CELL, device=frames.device) + 0.5) * CELL - DIT_SIDE / 2
        x = (probabilities.sum(2) * middles).sum(-1)
        y = (probabilities.sum(3) * middles).sum(-1)
        centres = torch.stack((x, y), dim=-1) / PLACE_UNIT
        return to_patches(likeness.unsqueeze(2), self.config.patch, self.config.span), centres

    def _embed_centres(self, centres: Tensor, count: int) -> Tensor:
        """Embed the centres [B, 16, 2], repeated for `count` tokens: [B, N, W]."""
        features = self.centres_in(centres.view(len(centres), VIDEO_FRAMES // self.config.span, -1))
        return features.repeat_interleave(count // features.shape[1], dim=1)

    def _per_frame(self, head: nn.Linear, h: Tensor) -> Tensor:
        """A pose for every frame, [B, 16, 5]: the head's mean over the tokens of the frame."""
        B, span = len(h), self.config.span
        numbers = head(F.rms_norm(h, h.shape[-1:])).float()
        per_time = numbers.view(B, VIDEO_FRAMES // span, -1, span * POSE_NUMBERS).mean(2)
        return per_time.view(B, VIDEO_FRAMES, POSE_NUMBERS)

    def _place(self, figure: Tensor, pose: Tensor, finer: int = 1) -> Tensor:
        """The figure in these poses, in patches [B, N, span·patch²]."""
        frames = place_figure(figure, pose.detach(), finer)
        return to_patches(frames.unsqueeze(2), self.config.patch, self.config.span)

    def _apply_gains(self, gains: Tensor, in_place: Tensor, pixels: Tensor) -> Tensor:
        """The pixels of the placed canvas and of the input, times each token's gains.

        A patch has more pixels than a token has features, so sharp detail must bypass the token.
        """
        span = self.config.span
        of_canvas, of_input = gains.unflatten(-1, (2, span, 3, 1)).unbind(2)
        canvas = in_place.unflatten(-1, (span, 1, -1))
        return (of_canvas * canvas + of_input * pixels.unflatten(-1, (span, 3, -1))).flatten(2)


def to_patches(frames: Tensor, patch: int, span: int) -> Tensor:
    """[B, 16, C, 32, 32] to tokens [B, N, span·C·patch²], ordered by time first."""
    B, T, C, _, _ = frames.shape
    side = DIT_SIDE // patch
    parts = frames.view(B, T // span, span, C, side, patch, side, patch)
    return parts.permute(0, 1, 4, 6, 2, 3, 5, 7).reshape(B, -1, span * C * patch * patch)


def from_patches(tokens: Tensor, patch: int, span: int) -> Tensor:
    """The inverse of `to_patches` for three channels: tokens to [B, 16, 3, 32, 32]."""
    side = DIT_SIDE // patch
    parts = tokens.view(len(tokens), VIDEO_FRAMES // span, side, side, span, 3, patch, patch)
    return parts.permute(0, 1, 4, 5, 2, 6, 3, 7).reshape(
        len(tokens), VIDEO_FRAMES, 3, DIT_SIDE, DIT_SIDE
    )


def pose_numbers(poses: Tensor) -> Tensor:
    """Poses [B, 16, 4] in pixels and radians as the network predicts them, [B, 16, 5]: x and y
    from the middle in PLACE_UNIT, 2 · ln of the relative size, cosine and sine."""
    x, y, size, angle = poses.unbind(-1)
    middle = DIT_SIDE / 2
    place = ((x - middle) / PLACE_UNIT, (y - middle) / PLACE_UNIT, (size / middle).log() * 2)
    return torch.stack((*place, angle.cos(), angle.sin()), dim=-1)


def place_figure(figure: Tensor, pose: Tensor, finer: int = FINER) -> Tensor:
    """Draw figures [B, 32, 32] in the poses of `pose_numbers` [B, 16, 5]: [B, 16, 32, 32].

    Supersampled by `finer` in both directions.
    """
    x, y, size, cos, sin = pose.float().unbind(-1)
    length = (cos**2 + sin**2).sqrt().clamp(min=1e-3)
    cos, sin = cos / length, sin / length
    scale = INNER / (DIT_SIDE / 2) * (-size / 2).clamp(-1.5, 1.5).exp()  # canvas pixels per pixel
    # The map from a frame's coordinates, -1 to 1, to the canvas's: shift, rotate, scale.
    shift_x, shift_y = x * PLACE_UNIT / (DIT_SIDE / 2), y * PLACE_UNIT / (DIT_SIDE / 2)
    a, b = scale * cos, scale * sin
    rows = (a, -b, -(a * shift_x - b * shift_y), b, a, -(b * shift_x + a * shift_y))
    theta = torch.stack(rows, dim=-1).view(-1, 2, 3)
    fine = finer * DIT_SIDE
    grid = F.affine_grid(theta, [len(theta), 1, fine, fine], align_corners=False)
    source = figure.float().clamp(0, 1).repeat_interleave(VIDEO_FRAMES, 0).unsqueeze(1)
    drawn = F.grid_sample(source, grid, align_corners=False)
    return F.avg_pool2d(drawn, finer).view(-1, VIDEO_FRAMES, DIT_SIDE, DIT_SIDE)


def two_colours(clip: Tensor, alpha: Tensor) -> Tensor:
    """Project a clip [B, 48, 32, 32] to one colour on another, with alpha [B, 16, 32, 32].

    The ground's colour is the mean of the pixels that are hardly covered. The figure's is the mean
    of those that are mostly covered, with the ground's share removed.
    """
    frames = clip.unflatten(1, (VIDEO_FRAMES, 3))
    cover = alpha.unsqueeze(2).clamp(0, 1)
    bare, solid = (1 - cover) ** SHARPNESS, cover**SHARPNESS
    dims = (1, 3, 4)  # time, height and width
    ground = (frames * bare).sum(dims) / bare.sum(dims).clamp(min=1e-6)
    mean = (frames * solid).sum(dims) / solid.sum(dims).clamp(min=1e-6)
    share = (cover * solid).sum(dims) / solid.sum(dims).clamp(min=1e-6)
    figure = ground + (mean - ground) / share.clamp(min=0.1)
    ground, figure = (colour[:, None, :, None, None] for colour in (ground, figure))
    return (ground + cover * (figure - ground)).clamp(-1, 1).flatten(1, 2)


# --- The denoiser -----------------------------------------------------------------------------

DETAIL_SIGMA = 0.5  # below this σ only noise is left to remove from a clip


class VideoDenoiser(EDMDenoiser[VideoDiT]):
    """A denoiser of clips [B, 48, 32, 32] whose network also predicts a canvas and poses."""

    unguided_below: float = DETAIL_SIGMA

    def forward(
        self, x: Tensor, sigma: Tensor, token_ids: Tensor, sigma_next: Tensor | None = None
    ) -> Tensor:
        """As `Denoiser`. Below DETAIL_SIGMA the result for a captioned clip is replaced by
        the nearest clip of a figure in one colour on a background in another."""
        c_skip, c_out, c_in = self.coefficients(sigma)
        prediction = self.network.predict(c_in * x, sigma.log() / 4, token_ids)
        denoised = c_skip * x + c_out * prediction.out.float()
        is_detail = (sigma < DETAIL_SIGMA) & (token_ids > 0).any(1)
        if not is_detail.any():
            return denoised
        alpha = place_figure(prediction.canvas.detach(), prediction.poses[1])
        flat = two_colours(denoised, alpha)
        return torch.where(is_detail.view(-1, 1, 1, 1), flat, denoised)

    def predict(self, noisy: Tensor, sigma: float, token_ids: Tensor) -> Prediction:
        """The network's output, canvas and poses at one noise level."""
        level = torch.full((len(noisy),), sigma, device=noisy.device).log() / 4
        c_in = (sigma**2 + self.sigma_data**2) ** -0.5
        return self.network.predict(c_in * noisy, level, token_ids)

    def losses(
        self, clean: Tensor, noise: Tensor, sigma: Tensor, token_ids: Tensor, poses: Tensor
    ) -> tuple[Tensor, Tensor]:
        """EDM's denoising loss [B], and the squared error [B] of the predicted poses."""
        noisy, target, c_in = self.target(clean, noise, sigma)
        prediction = self.network.predict(c_in * noisy, sigma.log() / 4, token_ids)
        denoising = (prediction.out.float() - target).square().mean(dim=(1, 2, 3))
        true = pose_numbers(poses)
        posing = sum((pose - true).square().sum(-1).mean(-1) for pose in prediction.poses)
        return denoising, torch.as_tensor(posing)


def build_video_denoiser(recipe: VideoRecipe, vocab_size: int) -> VideoDenoiser:
    """Build the denoiser of clips with new weights."""
    config = config_from(recipe, VideoConfig, vocab_size=vocab_size)
    return VideoDenoiser(VideoDiT(config), recipe.sigma_data)
