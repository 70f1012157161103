"""The widgets of the panes. They import no pane, no session and nothing of the engine."""
