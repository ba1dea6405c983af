"""Programs: what one is, where they come from, how one is executed. This room knows nothing of prompts or models."""
