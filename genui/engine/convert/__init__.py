"""Models written in the formats of other programs. `Kind.converts` names the functions."""
