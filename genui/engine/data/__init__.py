"""Datasets, each of one medium, with a licence and a fingerprint. Nothing here imports torch."""
