"""Loss over the mixture at one scale: one law a file."""

from mixlaw.laws.base import MixingLaw
from mixlaw.laws.bimix import BiMix
from mixlaw.laws.exponential import Exponential
from mixlaw.laws.gaussian_process import GaussianProcess
from mixlaw.laws.linear import Linear
from mixlaw.laws.product import Product
from mixlaw.laws.reciprocal import Reciprocal
from mixlaw.laws.root_exponential import RootExponential
from mixlaw.laws.separable import Separable, SharedSeparable
from mixlaw.laws.sum_of_exponentials import SumOfExponentials
from mixlaw.laws.trees import Trees

LAWS: dict[str, type[MixingLaw]] = {
    law.kind: law
    for law in (
        Reciprocal,
        Exponential,
        RootExponential,
        SumOfExponentials,
        Separable,
        SharedSeparable,
        Product,
        BiMix,
        Linear,
        GaussianProcess,
        Trees,
    )
}
"""Every mixing law by its kind, the likeliest choices first."""
