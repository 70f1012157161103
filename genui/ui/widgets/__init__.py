"""The things panes are made of; none knows a pane, a session or the engine."""
