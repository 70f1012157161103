"""Datasets: real data of one medium each, with a licence and a fingerprint. No torch here."""
