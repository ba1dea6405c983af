"""Training: thin over TRL. This room sees token sequences and a model folder, and knows nothing of programs."""
