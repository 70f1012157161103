"""A run on disk: its files, its lock, its control commands, the list of runs. No torch."""
