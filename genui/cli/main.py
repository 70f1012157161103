"""The `genui` command: the table of commands, and error handling.

Only the module of the given command is imported, so that `genui` alone opens the app fast. Kinds of
models add commands (`Kind.commands`).
"""

import os
import sys
from collections.abc import Sequence
from functools import partial

from genui.base.command import Command
from genui.base.errors import INTERRUPTED, GenuiError, MisuseError, describe_bug, did_you_mean
from genui.base.late import late_imports
from genui.base.text import clean_line
from genui.cli.commands import Commands

with late_imports():
    from genui.base import plugins
    from genui.cli import (
        bench,
        completion,
        config,
        control,
        convert,
        datasets,
        doctor,
        export,
        generate,
        help,
        home,
        inspect,
        labels,
        measure,
        models,
        pull,
        recipes,
        replay,
        report,
        run,
        runs,
        score,
        sheet,
        show,
        sweep,
        top,
        train,
        verify,
        watch,
        why,
    )

SEE_HELP = "genui --help lists them"
READER_GONE = 141  # 128 + SIGPIPE

COMMANDS = Commands(
    {
        "tour": Command(
            "learn the app in five minutes, in the app itself",
            lambda: (home.configure_tour, home.run_tour),
        ),
        "models": Command(
            "list the models that can generate: shipped ones and your checkpoints",
            lambda: (models.configure_models, models.run_models),
        ),
        "pull": Command(
            "fetch an open model from the Hub, or list the catalogue",
            lambda: (pull.configure_pull, pull.run_pull),
        ),
        "recipes": Command(
            "list what can be trained, or every setting of one recipe",
            lambda: (recipes.configure_recipes, recipes.run_recipes),
        ),
        "train": Command(
            "train a recipe in the background (or here, --foreground)",
            lambda: (train.configure_train, train.run_train),
        ),
        "sweep": Command(
            "train a recipe with many settings and rank the results",
            lambda: (sweep.configure_sweep, sweep.run_sweep),
        ),
        "run": Command(
            "run a command and record its output, metrics, load and exit code",
            lambda: (run.configure_run, run.run_run),
        ),
        "runs": Command(
            "list your training runs",
            lambda: (runs.configure_runs, runs.run_runs),
        ),
        "rename": Command(
            "rename a run",
            lambda: (labels.configure_rename, labels.run_rename),
        ),
        "tag": Command(
            "add tags to a run, or remove some",
            lambda: (labels.configure_tag, labels.run_tag),
        ),
        "note": Command(
            "add a note to a run",
            lambda: (labels.configure_note, labels.run_note),
        ),
        "rm": Command(
            "delete runs and free their disk space",
            lambda: (labels.configure_rm, labels.run_rm),
        ),
        "watch": Command(
            "watch any training log or a command's output in the app",
            lambda: (watch.configure_watch, watch.run_watch),
        ),
        "top": Command(
            "show live CPU, memory and GPU load, and what is training",
            lambda: (top.configure_top, top.run_top),
        ),
        "inspect": Command(
            "show a run or log, or follow its metrics",
            lambda: (inspect.configure_inspect, inspect.run_inspect),
        ),
        "why": Command(
            "explain why a run ended, or where it hangs",
            lambda: (why.configure_why, why.run_why),
        ),
        "export": Command(
            "write metrics as CSV, JSONL or TensorBoard events",
            lambda: (export.configure_export, export.run_export),
        ),
        "report": Command(
            "write a run or a sweep as one HTML file",
            lambda: (report.configure_report, report.run_report),
        ),
        "resume": Command(
            "continue a paused, stopped or failed run",
            lambda: (train.configure_resume, train.run_resume),
        ),
        **{
            name: Command(summary, lambda: (control.configure_control, control.run_control))
            for name, summary in {
                "pause": "pause a run between two steps",
                "stop": "stop a run after a last checkpoint",
                "checkpoint": "write a checkpoint now",
                "evaluate": "evaluate a run on held-out data and sample from it now",
            }.items()
        },
        "set": Command(
            "change the learning rate of a run while it trains",
            lambda: (control.configure_set, control.run_set),
        ),
        "generate": Command(
            "write text or draw an image with a model",
            lambda: (generate.configure_generate, generate.run_generate),
        ),
        "compare": Command(
            "generate with two models or files and compare them step by step",
            lambda: (replay.configure_compare, replay.run_compare),
        ),
        "twins": Command(
            "compare a discriminative and a generative classifier",
            lambda: (measure.configure_twins, measure.run_twins),
        ),
        "probes": Command(
            "measure image quality, memorisation, bias and watermarks",
            lambda: (measure.configure_probes, measure.run_probes),
        ),
        "score": Command(
            "score a text: how probable a model finds it, token by token",
            lambda: (score.configure_score, score.run_score),
        ),
        "average": Command(
            "average the weights of several models into one model",
            lambda: (models.configure_average, models.run_average),
        ),
        "convert": Command(
            "convert a model to a format that other programs load",
            lambda: (convert.configure_convert, convert.run_convert),
        ),
        "worth": Command(
            "compare classifiers trained on generated and on real images",
            lambda: (measure.configure_worth, measure.run_worth),
        ),
        "sheet": Command(
            "put saved generations on one contact sheet",
            lambda: (sheet.configure_sheet, sheet.run_sheet),
        ),
        "replay": Command(
            "repeat a saved generation and compare the two",
            lambda: (replay.configure_replay, replay.run_replay),
        ),
        "verify": Command(
            "check a file's integrity, signer, recipe and watermark",
            lambda: (verify.configure_verify, verify.run_verify),
        ),
        "traces": Command(
            "list saved traces",
            lambda: (show.configure_traces, show.run_traces),
        ),
        "show": Command(
            "show an image, a sample, a trace, a model or a run folder",
            lambda: (show.configure_show, show.run_show),
        ),
        "dataset": Command(
            "list the datasets prepared on disk, or remove some",
            lambda: (datasets.configure_dataset, datasets.run_dataset),
        ),
        "config": Command(
            "show genui's settings, or change one",
            lambda: (config.configure_config, config.run_config),
        ),
        "completion": Command(
            "print the completion script for bash, zsh or fish",
            lambda: (completion.configure_completion, partial(completion.run_completion, COMMANDS)),
        ),
        "bench": Command(
            "measure how fast genui is here, alone or beside other programs",
            lambda: (bench.configure_bench, bench.run_bench),
        ),
        "doctor": Command(
            "report what genui finds here, for bug reports",
            lambda: (doctor.configure_doctor, doctor.run_doctor),
        ),
        "help": Command(
            "read the manual, by topic or by words",
            lambda: (help.configure_help, partial(help.run_help, COMMANDS)),
        ),
    }
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; errors become one line on stderr.

    0 done, 1 failed, 2 misuse, 130 interrupted, 141 the reader of the output has ended.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    _make_streams_sturdy()
    try:
        code = _dispatch(words)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return READER_GONE
    except GenuiError as error:
        return _fail(str(error), error.exit_code)
    except OSError as error:
        if error.filename is None:
            _drop_output()
        return _fail(f"{error.filename or 'standard output'}: {error.strerror or error}", 1)
    except Exception as error:
        if os.environ.get("GENUI_DEBUG"):
            raise
        return _fail(describe_bug(error), 1)


def _drop_output() -> None:
    """Discards the rest of stdout, which Python flushes once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _use_plugins(words: list[str]) -> list[str]:
    """Loads the files of every `--plugin FILE` at the beginning; returns the other words."""
    files = []
    while words and words[0].partition("=")[0] == "--plugin":
        option, sign, file = words.pop(0).partition("=")
        if not sign and not words:
            raise MisuseError(f"{option}: name a Python file, as in --plugin my_recipe.py")
        files.append(file if sign else words.pop(0))
    if files or os.environ.get("GENUI_PLUGINS"):
        plugins.use_files(files)
    return words


def _dispatch(words: list[str]) -> int:
    words = _use_plugins(words)
    if not words:
        return home.run_home()
    command = words[0]
    is_option = command.startswith("-")
    known = not is_option and COMMANDS.find(command) is not None
    if not known and not is_option:
        near = did_you_mean(command, COMMANDS.summaries(), SEE_HELP)
        raise MisuseError(f"no command '{command}': {near}")
    parser = COMMANDS.parser(command) if known else COMMANDS.overall_parser()
    try:
        args, unknown = parser.parse_known_args(words[1:] if known else words)
    except SystemExit as done:  # --help and --version
        return done.code if isinstance(done.code, int) else 0
    if unknown or not known:
        where, word = (f"{command}: ", unknown[0]) if known else ("", command)
        if known and word.partition("=")[0] == "--plugin":
            raise MisuseError(
                f"--plugin must stand before the command: genui --plugin FILE {command} …"
            )
        what = "unknown option" if word.startswith("-") else "unexpected"
        raise MisuseError(f"{where}{what} {word!r}; see {parser.prog} --help")
    return args.run(args)


def _fail(line: str, code: int) -> int:
    print(f"genui: {clean_line(line)}", file=sys.stderr)
    return code


def _make_streams_sturdy() -> None:
    """Makes closed streams and locales without our characters harmless."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - lives as long as we do
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
