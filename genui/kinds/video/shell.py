"""The option of clips in the shell."""

from argparse import Namespace

from msgspec.structs import replace

from genui.base.errors import MisuseError
from genui.cli import files
from genui.cli.request import Request
from genui.formats.recipe import ExportView


def check_denoising(args: Namespace, request: Request) -> None:
    """Raises MisuseError if `--denoising` is given without an animation."""
    if args.denoising and not files.is_animation(args.out, request.kind):
        raise MisuseError("--denoising: needs --out FILE.gif, .apng, .mp4 or .cast")


def choose_view(args: Namespace, view: ExportView) -> ExportView:
    """The view of a file, by `--denoising`."""
    return replace(view, kind="animation") if args.denoising and view.kind == "clip" else view
