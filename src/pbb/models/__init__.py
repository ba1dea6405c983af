"""Models: loading, tokenising a dialogue, decoding, and the embedded base."""
