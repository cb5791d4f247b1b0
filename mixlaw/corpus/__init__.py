"""Text to tokenised domain shards, and which sequence of them is trained on next."""
