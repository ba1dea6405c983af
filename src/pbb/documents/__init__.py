"""Documents: programs rendered as text, and mixed for a stage. This room knows nothing of models or tokens."""
