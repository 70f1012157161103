"""The Training screen: its model, its curves, the panels beside them, and alerts."""
