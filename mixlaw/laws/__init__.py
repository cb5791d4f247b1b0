"""Loss over the mixture at one scale: one law a file."""
