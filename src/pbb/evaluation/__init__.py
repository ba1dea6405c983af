"""Asks a model to run programs, reads its answers and says how well it did, against controls."""
