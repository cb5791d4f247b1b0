"""Copy the numbers of the benchmarks into the pages that quote them.

    python benchmarks/quote.py        (or: make quotes)

A table below a line that ends with (`make bench-NAME`): has its rows from benchmarks/results/NAME.md: those under the
same heading cells whose leading words are the same. `tests/test_docs.py` holds the pages to the results.
"""

import re

from reference import RESULTS, ROOT

DOCS = ROOT / "docs"
QUOTED = re.compile(r"(\(`make bench-([a-z-]+)`\):\n\n)((?:\|.*\n?)+)")


def cells(line: str) -> tuple[str, ...]:
    """What stands between the bars of a row."""
    return tuple(cell.strip() for cell in line.strip().strip("|").split("|"))


def key(line: str) -> tuple[str, ...]:
    """The leading cells of a row that are no measurements; of a table by a number of runs, the first."""
    row = cells(line)
    words = next((place for place, cell in enumerate(row) if re.fullmatch(r"[-+±0-9. %s]+", cell)), len(row))
    return row[: max(words, 1)]


def tables(text: str) -> dict[tuple[str, ...], dict[tuple[str, ...], str]]:
    """Heading cells -> leading words of a row -> the row."""
    found: dict[tuple[str, ...], dict[tuple[str, ...], str]] = {}
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        head, _, *rows = table.splitlines()
        found.setdefault(cells(head), {}).update({key(row): row for row in rows})
    return found


def requoted(page: str) -> str:
    """The page with the numbers of the results as they are now."""

    def fresh(quote: "re.Match[str]") -> str:
        head, line, *rows = quote[3].splitlines()
        known = tables((RESULTS / f"{quote[2]}.md").read_text(encoding="utf-8"))[cells(head)]
        return quote[1] + "".join(f"{row}\n" for row in (head, line, *(known[key(row)] for row in rows)))

    return QUOTED.sub(fresh, page)


if __name__ == "__main__":
    for path in sorted(DOCS.rglob("*.md")):
        before = path.read_text(encoding="utf-8")
        after = requoted(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(f"{path}: numbers renewed")
