"""The option of clips in the shell."""

from argparse import Namespace

from msgspec.structs import replace

from genui.base.errors import MisuseError
from genui.cli.request import Request
from genui.formats.recipe import ExportView


def check_denoising(args: Namespace, request: Request) -> None:
    """Raises MisuseError if `--denoising` is given without a file."""
    if args.denoising and args.out is None:
        raise MisuseError("--denoising: needs --out")


def choose_view(args: Namespace, view: ExportView) -> ExportView:
    """The view of a file, by `--denoising`."""
    return replace(view, kind="animation") if args.denoising and view.kind == "clip" else view
