"""What a run is on disk: written, tailed, locked, steered and listed. No torch, no terminal."""
