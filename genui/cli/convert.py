"""`genui convert`: a model in a format of other programs."""

import argparse
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import cannot_write
from genui.base.late import late_imports
from genui.cli import output
from genui.engine.kinds import generates_of
from genui.protocol.kinds import KINDS, Target
from genui.runs.models import ModelInfo, find_model

with late_imports():
    from genui.engine.convert import check


def list_targets() -> dict[str, Target]:
    """The formats of other programs in which models are written, by name."""
    return {name: target for kind in KINDS.values() for name, target in kind.targets.items()}


def configure_convert(parser: argparse.ArgumentParser) -> None:
    targets = list_targets()
    parser.epilog = (
        "A text model becomes a folder for Hugging Face transformers, with the code of its\n"
        "network in one file and the same logits. A diffusion model of images becomes a folder\n"
        "for diffusers. For models that others trained, and those fine-tuned from them, see\n"
        "genui help open-text. The result is read back, by the target library if it is\n"
        "installed, and compared with the model.\n\n"
        "examples:\n"
        "  genui convert shakespeare --out shakespeare-hf\n"
        "  genui convert last --to hf --dtype bf16 --out mine\n"
        "  genui convert icons --out icons-diffusers\n"
        "  genui convert smollm2 --dtype q8_0 --out smol.gguf"
    )
    parser.add_argument(
        "model", metavar="MODEL", help="RUN, RUN@STEP, the name of a model, or its file or folder"
    )
    parser.add_argument(
        "--to",
        metavar="FORMAT",
        choices=tuple(targets),
        default="",
        help=f"{', '.join(targets)}; by default by the suffix of --out, or the kind of model",
    )
    parser.add_argument(
        "--out", metavar="PATH", type=Path, required=True, help="the new folder or file"
    )
    parser.add_argument(
        "--dtype",
        metavar="TYPE",
        default="",
        help="type of the weights: fp32, fp16, bf16 or q8_0, if the format has it",
    )
    parser.add_argument(
        "--no-check",
        action="store_true",
        help="do not read the result back and compare it with the model",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace a file, or a folder that this command wrote"
    )


def run_convert(args: argparse.Namespace) -> int:
    model = find_model(args.model)
    kind = KINDS[model.family, model.medium]
    name = _choose(model, args.to, args.out, tuple(kind.targets))
    target = kind.targets[name]
    out = Path(os.path.abspath(os.path.expanduser(args.out)))  # also of `.`
    dtype = args.dtype or target.dtypes[0]
    if dtype not in target.dtypes:
        kinds = ", ".join(target.dtypes)
        raise MisuseError(f"--dtype {dtype}: {target.title} has weights in {kinds}")
    _check_out(out, target, args.force)
    face = generates_of(kind)
    assert face is not None  # a kind with targets has it
    aside = out.with_name(f".{os.getpid()}.{out.name}")
    try:
        if not target.suffix:
            aside.mkdir()
        face.converts[name](model, aside, dtype)
        checked = "not checked" if args.no_check else _check(model, aside, out, dtype)
        if not target.suffix:
            (aside / LIST).write_text("\n".join([LIST, *_list_files(aside)]), encoding="utf-8")
        if out.is_dir():
            shutil.rmtree(out)
        os.replace(aside, out)
    except OSError as error:
        raise cannot_write(out, error) from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        if aside.is_file():
            aside.unlink()
    output.note(f"{out}: {target.title}, {dtype}, for {target.reader}; {checked}")
    return 0


def _check(model: ModelInfo, written: Path, out: Path, dtype: str) -> str:
    """Return how it was checked, as a sentence. Raises GenuiError if the result differs."""
    try:
        return check.check(model, written, dtype)
    except GenuiError as error:
        fault = str(error).removeprefix(f"{written}: ")
        raise GenuiError(f"{out}: is not the model, and was removed: {fault}") from None


def _choose(model: ModelInfo, name: str, out: Path, own: Sequence[str]) -> str:
    """The target: the named format, the format of the suffix, or the first of the model's kind.

    Raises MisuseError if the model is not written so.
    """
    if not own:
        ability = KINDS[model.family, model.medium].ability
        raise MisuseError(f"{model.ref}: {ability}; such models are not converted")
    targets = list_targets()
    by_suffix = [key for key, target in targets.items() if target.suffix == out.suffix != ""]
    name = name or next(iter([*by_suffix, *own]))
    if name not in own:
        raise MisuseError(
            f"{model.ref}: is not written as {targets[name].title}; "
            f"it is written as {', '.join(own)}"
        )
    return name


LIST = ".genui-convert"
"""The file in a folder that lists what was written there. Only a folder that holds nothing else is
replaced."""


def _list_files(folder: Path) -> Iterator[str]:
    return (path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def _check_out(out: Path, target: Target, force: bool) -> None:
    """Raises MisuseError, before anything is computed, if the target cannot be written there."""
    every = list_targets().values()
    others = [each.title for each in every if each.suffix == out.suffix != target.suffix]
    if others and out.suffix:
        raise MisuseError(
            f"--out {out}: {out.suffix} is {others[0]}, and this is {target.title}; choose a name"
        )
    if target.suffix and out.suffix != target.suffix:
        raise MisuseError(f"--out {out}: {target.title} ends in {target.suffix}; change the suffix")
    if not out.parent.is_dir():
        raise MisuseError(f"--out {out}: there is no folder {out.parent}; create it first")
    if not os.path.lexists(out):
        return
    if out.is_dir() is bool(target.suffix):
        raise MisuseError(f"--out {out}: is not {target.title}; choose another name")
    is_listed = (out / LIST).is_file()
    written = (out / LIST).read_text("utf-8", "replace").splitlines() if is_listed else []
    if other := next((name for name in _list_files(out) if name not in written), ""):
        raise MisuseError(
            f"--out {out}: holds {other}, which genui convert did not write; choose another name"
        )
    if not force:
        raise MisuseError(f"--out {out}: exists already; --force replaces it")
