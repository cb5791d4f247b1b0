"""The parts a page is made of: each turns what the package knows into words, tables and figures."""
