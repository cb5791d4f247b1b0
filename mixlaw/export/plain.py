"""Plain files, for trainers of one's own."""

from mixlaw.export.base import Exporter, Request, Unit, decimal_text
from mixlaw.files import to_json


def render_json(request: Request) -> str:
    """`{domain: proportion}`: a mixture file, which every command of ours reads too."""
    return to_json({source.domain: source.share for source in request.sources})


def render_csv(request: Request) -> str:
    """One row of proportions under the domains' names: a mixtures file of one mixture."""
    names = ",".join(_quoted(source.domain) for source in request.sources)
    return f"{names}\n" + ",".join(decimal_text(source.share) for source in request.sources) + "\n"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if any(mark in name for mark in ',"\r\n') else name


JSON = Exporter(
    name="json",
    description="a mixture file of proportions of tokens, as JSON",
    units=(Unit.TOKENS, Unit.DOCUMENTS),
    filename="mixture.json",
    usage="read FILE in your trainer; with tokens as its unit it is a mixture file of mixlaw's too",
    render=render_json,
    keeps_zeros=True,
    reads_paths=False,
)

CSV = Exporter(
    name="csv",
    description="a mixtures file of one mixture, as CSV",
    units=(Unit.TOKENS, Unit.DOCUMENTS),
    filename="mixture.csv",
    usage="read FILE in your trainer, or pass it to mixlaw predict --mixtures",
    render=render_csv,
    keeps_zeros=True,
    reads_paths=False,
)
