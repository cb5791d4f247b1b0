"""The sizes a run can have, from tens of thousands of parameters to a billion."""

from dataclasses import dataclass

from mixlaw.errors import one_of


@dataclass(frozen=True)
class Shape:
    """A Llama-style decoder: RMS norms, rotary positions, full attention, SwiGLU; no biases, embedding and head apart.

    Attributes:
        name: on the ladder.
        width: of the residual stream; a multiple of `heads`.
        layers: blocks of attention and feed-forward.
        heads: of attention; `width / heads` is even.
        inner: width inside the feed-forward block.
    """

    name: str
    width: int
    layers: int
    heads: int
    inner: int

    @property
    def head_width(self) -> int:
        """Width of one head."""
        return self.width // self.heads

    @property
    def params(self) -> int:
        """Non-embedding parameters: all but the token embedding and the output head, which grow with the vocabulary."""
        attention, feed_forward, norms = 4 * self.width**2, 3 * self.width * self.inner, 2 * self.width
        return self.layers * (attention + feed_forward + norms) + self.width

    def flops_per_token(self, vocabulary: int, sequence_length: int) -> float:
        """Floating-point operations of one training token, forward and backward.

        6 a parameter that is multiplied (the embedding is looked up), and 6 x width x length a layer for causal
        attention, whose average reach is half the sequence (Kaplan et al. 2020, 2001.08361; Chowdhery et al. 2022,
        2204.02311, appendix B).
        """
        multiplied = self.params + vocabulary * self.width
        return 6.0 * multiplied + 6.0 * self.layers * self.width * sequence_length


LADDER = (
    Shape("0.03M", width=32, layers=2, heads=2, inner=96),
    Shape("0.05M", width=48, layers=2, heads=2, inner=128),
    Shape("0.1M", width=64, layers=2, heads=2, inner=160),
    Shape("0.2M", width=64, layers=4, heads=2, inner=176),
    Shape("0.3M", width=80, layers=4, heads=2, inner=216),
    Shape("0.4M", width=96, layers=4, heads=3, inner=224),
    Shape("0.7M", width=128, layers=4, heads=4, inner=288),
    Shape("1M", width=128, layers=5, heads=4, inner=352),
    Shape("2M", width=160, layers=6, heads=5, inner=480),
    Shape("4M", width=256, layers=5, heads=4, inner=704),
    Shape("8M", width=320, layers=6, heads=5, inner=960),
    Shape("14M", width=384, layers=8, heads=6, inner=1024),
    Shape("30M", width=512, layers=10, heads=8, inner=1280),
    Shape("70M", width=768, layers=10, heads=12, inner=2048),
    Shape("110M", width=768, layers=16, heads=12, inner=1984),
    Shape("160M", width=1024, layers=12, heads=16, inner=3072),
    Shape("410M", width=1280, layers=20, heads=20, inner=3584),
    Shape("1B", width=2048, layers=20, heads=16, inner=5504),
)
"""Smallest first; each name is the count of non-embedding parameters, rounded."""


def ladder() -> tuple[str, ...]:
    """Names of the sizes, smallest first."""
    return tuple(shape.name for shape in LADDER)


def shape_of(name: str) -> Shape:
    """The shape of a size; refuse a name that is not on the ladder with the nearest that is."""
    return {shape.name: shape for shape in LADDER}[one_of(name, ladder(), "size")]
