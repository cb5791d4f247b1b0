"""Run table -> law, with the evidence for it: which law, how sure, and what it cannot tell."""
