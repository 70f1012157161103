"""Fills a chat template, in a process of its own: `python fill_template.py < request > reply`.

A template comes with a model and may be wrong or hostile: it may loop without end or write
without bound. So this process has limits of time and memory, it imports nothing of genui, and
Jinja's sandbox, in which templates are run everywhere else too, keeps it from Python.
"""

import datetime
import json
import sys
from typing import Any, NoReturn

SECONDS = 5  # of computing
MEMORY = 1 << 29  # bytes of address space
CHARACTERS = 1 << 20  # of the text that a template writes
RANGE = 10_000
TODAY = datetime.date(2024, 7, 26)
"""The date that every template sees, so that a chat replays: the default of Llama's templates."""


def limit(seconds: int) -> None:
    """Limit the time and the memory of this process, where the system can."""
    try:
        import resource
    except ImportError:  # Windows: the caller waits no longer than this
        return
    for kind, most in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, MEMORY)):
        try:
            resource.setrlimit(kind, (most, most))
        except (OSError, ValueError):
            continue


def fill(template: str, values: dict[str, Any]) -> str:
    """The template with these values. Raises Exception, for instance if it refuses them."""
    from jinja2 import TemplateError, nodes
    from jinja2.ext import Extension
    from jinja2.parser import Parser
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from jinja2.utils import Namespace

    class Generation(Extension):
        """`{% generation %}`, by which transformers finds the answers: what is in it is written."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Parser) -> list[nodes.Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    def refuse(message: object) -> NoReturn:
        raise TemplateError(str(message))

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", Generation]
    )
    del environment.filters["random"]  # a chat replays
    environment.filters["tojson"] = lambda value, **options: json.dumps(
        value, ensure_ascii=False, indent=options.get("indent")
    )
    environment.globals = {
        "range": lambda *bounds: range(*bounds)[:RANGE],
        "namespace": Namespace,
        "raise_exception": refuse,
        "strftime_now": TODAY.strftime,
    }
    parts, length = [], 0
    for part in environment.from_string(template).generate(values):
        length += len(part)
        if length > CHARACTERS:
            raise ValueError(f"it writes more than {CHARACTERS:,} characters")
        parts.append(part)
    return "".join(parts)


def main() -> None:
    request = json.load(sys.stdin)
    limit(request["seconds"])
    try:
        reply = {"text": fill(request["template"], request["values"])}
    except MemoryError:
        reply = {"fault": "it needs too much memory"}
    except RecursionError:
        reply = {"fault": "it is nested too deeply"}
    except Exception as error:  # a template can raise anything
        number = getattr(error, "lineno", None)
        line = f"line {number}: " if number else ""
        reply = {"fault": f"{line}{error}"[:200]}
    json.dump(reply, sys.stdout)


if __name__ == "__main__":
    main()
