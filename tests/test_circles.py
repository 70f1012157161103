"""No file imports itself through others, also not by imports within functions."""

import grimp
import networkx

LEFT: list[list[str]] = [
    ["genui.cli.control", "genui.cli.sweep", "genui.cli.train"],
    ["genui.ui.driver", "genui.ui.terminal"],
    ["genui.ui.manual", "genui.ui.widgets.dialogs"],
]
"""Circles that are still to be opened. None is added."""


def test_no_file_imports_itself_through_others() -> None:
    graph = grimp.build_graph("genui", exclude_type_checking_imports=True, cache_dir=None)
    imports = networkx.DiGraph(
        (file, other)
        for file in graph.modules
        for other in graph.find_modules_directly_imported_by(file)
    )
    circles = networkx.strongly_connected_components(imports)
    assert sorted(sorted(circle) for circle in circles if len(circle) > 1) == LEFT
