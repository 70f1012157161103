"""The looks of a curve's parts: eight series that differ on a dark and on a light ground.

Colour only helps: series have signs, and what is raw is a halftone (series_looks.py, braille.py).
"""

_SERIES = 8  # as series_looks.py has them

LOOKS = (
    *("axis", "label", "cursor", "fault", "overlap", "reading"),
    *(f"series-{number}" for number in range(1, _SERIES + 1)),
    *(f"raw-{number}" for number in range(1, _SERIES + 1)),
)

CSS = """
Curve {
    width: 1fr;
    height: 1fr;
    & > .curve--empty { color: $text-muted; }
    & > .curve--axis { color: $foreground 30%; }
    & > .curve--label { color: $text-muted; }
    & > .curve--reading { color: $foreground; text-style: bold; }
    & > .curve--cursor { color: $warning; }
    & > .curve--overlap { color: $warning; }
    & > .curve--fault { color: $error; text-style: bold; }
    & > .curve--series-1 { color: $primary; }
    & > .curve--series-2 { color: $warning; }
    & > .curve--series-3 { color: $success; }
    & > .curve--series-4 { color: #d2a8ff; }
    & > .curve--series-5 { color: #f778ba; }
    & > .curve--series-6 { color: #56d4dd; }
    & > .curve--series-7 { color: $accent; }
    & > .curve--series-8 { color: $foreground; }
    & > .curve--raw-1 { color: $primary 40%; }
    & > .curve--raw-2 { color: $warning 40%; }
    & > .curve--raw-3 { color: $success 40%; }
    & > .curve--raw-4 { color: #d2a8ff 40%; }
    & > .curve--raw-5 { color: #f778ba 40%; }
    & > .curve--raw-6 { color: #56d4dd 40%; }
    & > .curve--raw-7 { color: $accent 40%; }
    & > .curve--raw-8 { color: $foreground 40%; }
    &:light > .curve--series-4 { color: #8250df; }
    &:light > .curve--series-5 { color: #bf3989; }
    &:light > .curve--series-6 { color: #1b7c83; }
    &:light > .curve--raw-4 { color: #8250df 40%; }
    &:light > .curve--raw-5 { color: #bf3989 40%; }
    &:light > .curve--raw-6 { color: #1b7c83 40%; }
}
"""
