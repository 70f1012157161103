"""The autoencoder of 128×128 images: shapes, its beginning, and latents that are standardised."""

import torch

from genui.kinds.latent.network import RATE, Autoencoder, AutoencoderConfig

TINY = AutoencoderConfig(width=4, blocks=1, deep_blocks=1, latent=8)


def _images(count: int) -> torch.Tensor:
    """Smooth random images, as unlike noise as pictures are."""
    coarse = torch.randn(count, 3, 16, 16).clamp(-1, 1)
    return torch.nn.functional.interpolate(coarse, size=128, mode="bilinear")


def test_images_become_latents_of_an_eighth_of_their_side_and_images_again() -> None:
    model = Autoencoder(TINY)
    latents = model.encode(_images(2))
    assert latents.shape == (2, 8, 16, 16)
    assert model.decode(latents).shape == (2, 3, 128, 128)


def test_it_begins_as_the_principal_components_of_patches() -> None:
    torch.manual_seed(0)
    images = _images(8)
    model = Autoencoder(TINY)
    with torch.no_grad():
        before = (model.decode(model.encode(images)) - images).square().mean()
        model.begin_linear(images)
        after = (model.decode(model.encode(images)) - images).square().mean()
    assert after < before / 10


def test_latents_get_a_mean_of_0_and_a_deviation_of_1_by_channel() -> None:
    torch.manual_seed(0)
    model, images = Autoencoder(TINY), _images(2)
    with torch.no_grad():
        for _ in range(round(8 / RATE)):
            model(images[..., :32, :32], torch.zeros(2, 8, 4, 4))
        latents = model.eval().encode(images[..., :32, :32])
    assert latents.mean(dim=(0, 2, 3)).abs().max() < 0.05
    assert (latents.std(dim=(0, 2, 3)) - 1).abs().max() < 0.05


def test_without_noise_a_reconstruction_is_what_is_decoded() -> None:
    model, images = Autoencoder(TINY).eval(), _images(1)
    with torch.no_grad():
        decoded = model.decode(model.encode(images))
        assert torch.allclose(decoded, model(images, torch.zeros(1, 8, 16, 16)), atol=1e-5)
