"""The figures of a report: each takes plain numbers and returns a matplotlib figure."""
