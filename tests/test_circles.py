"""No file imports itself through others, also not by imports within functions."""

import grimp
import networkx


def test_no_file_imports_itself_through_others() -> None:
    graph = grimp.build_graph("genui", exclude_type_checking_imports=True, cache_dir=None)
    imports = networkx.DiGraph(
        (file, other)
        for file in graph.modules
        for other in graph.find_modules_directly_imported_by(file)
    )
    assert "genui.engine.load" in imports
    circles = [sorted(c) for c in networkx.strongly_connected_components(imports) if len(c) > 1]
    assert not circles, f"these files import themselves through each other: {circles}"
