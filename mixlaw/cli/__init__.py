"""The command line: one verb a file, each a thin layer over a function of the package."""
