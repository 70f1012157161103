"""The commands of the shell, one module a group; `genui.cli.main` has the table.

Answers go to stdout and can be piped; remarks, progress and hints go to stderr.
"""
