"""MaxText's mixture file for its grain pipeline."""

from mixlaw.export.base import Exporter, Request, Unit
from mixlaw.files import to_json


def render(request: Request) -> str:
    """JSON of `{domain: {"path": pattern, "weight": share}}`.

    MaxText mixes records first and tokenises and packs them afterwards, so its weights are shares of documents unless
    every record already holds one packed sequence. The other way to say it, `grain_train_files`, rounds to 4 decimals.
    """
    return to_json({source.domain: {"path": source.path, "weight": source.share} for source in request.sources})


EXPORTER = Exporter(
    name="maxtext",
    description="MaxText 0.2: grain_train_mixture_config_path over ArrayRecord files, as JSON",
    units=(Unit.DOCUMENTS, Unit.SEQUENCES),
    filename="mixture.json",
    usage="set grain_train_mixture_config_path=FILE with dataset_type=grain",
    render=render,
)
