"""The best mixture under limits, with a proof that it is the best."""
