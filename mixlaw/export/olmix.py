"""Olmix's own file of a proposed mixture."""

from mixlaw.export.base import Exporter, Request, Unit
from mixlaw.files import to_json


def render(request: Request) -> str:
    """A list of `{"domain": ..., "weight": ...}`, as `olmix fit` writes its `*_optimal.json`."""
    return to_json([{"domain": source.domain, "weight": source.share} for source in request.sources])


EXPORTER = Exporter(
    name="olmix",
    description="Olmix (2026): a proposed mixture, as its fit writes it, as JSON",
    units=(Unit.TOKENS,),
    filename="optimal.json",
    usage="use FILE where Olmix reads its *_optimal.json",
    render=render,
    keeps_zeros=True,
    reads_paths=False,
)
