"""The linear system of one Newton step: a law's curvature, bordered by ceilings and the sum of the mixture."""

from collections.abc import Callable

import numpy as np
from scipy.linalg import LinAlgError
from scipy.linalg.blas import dsyrk
from scipy.linalg.lapack import dgetrf, dgetrs, dpotrf, dpotrs

from mixlaw.mixture import Array

LOW_RANK = 0.6
"""Rows of the root per column below which the Woodbury identity is the faster factorisation (measured)."""

STIFF = 1e8
"""Ratio of a diagonal entry to the largest curvature from which coupling to others is lost in rounding anyway."""

SMALL = 150
"""Columns up to which a dense factorisation costs less than the overhead of anything cleverer (measured)."""

Step = Callable[[Array, Array, float], tuple[Array, Array, float]]


def factorise(root: Array, diagonal: Array, jacobian: Array, softness: Array, ones: Array) -> Step:
    """Factorise once, to solve several times,

        [ rootᵀroot + diag(diagonal)   jacobianᵀ          ones ] [ x ]   [ a ]
        [ jacobian                     -diag(softness)    0    ] [ p ] = [ b ]
        [ onesᵀ                        0                  0    ] [ y ]   [ c ]

    Rows of the jacobian that are active have a softness near 0; to eliminate them would square the condition number,
    so they stay, and a pivoted factorisation decides.

    Args:
        root: (k, n).
        diagonal: (n,) positive.
        jacobian: (m, n).
        softness: (m,) positive.
        ones: (n,) what sums to a constant.

    Returns:
        A function from (a, b, c), shapes (n,), (m,) and a number, to (x, p, y).

    Raises:
        numpy.linalg.LinAlgError: if the system is singular to working precision.
    """
    if len(softness):
        return _pivoted(root, diagonal, jacobian, softness, ones)
    solve = _large(root, diagonal) if len(diagonal) > SMALL else _dense(root, diagonal)
    along = solve(ones)
    total = float(ones @ along)

    def step(a: Array, b: Array, c: float) -> tuple[Array, Array, float]:
        direct = solve(a)
        price = (float(ones @ direct) - c) / total
        return direct - price * along, b, price

    return step


def _large(root: Array, diagonal: Array) -> Callable[[Array], Array]:
    """Leave out what hardly moves, and use the low rank if it is low.

    A domain pressed to its bound has a diagonal far above any curvature: its step is its own, to within rounding, and
    late in a solve that is most domains.
    """
    soft = diagonal < STIFF * float(np.einsum("kn,kn->n", root, root).max(initial=0.0))
    kept, rest = root[:, soft], diagonal[soft]
    inner = _woodbury(kept, rest) if len(root) < LOW_RANK * len(rest) else _dense(kept, rest)

    def solve(right: Array) -> Array:
        found: Array = right / diagonal
        found[soft] = inner(right[soft])
        return found

    return solve


def _dense(root: Array, diagonal: Array) -> Callable[[Array], Array]:
    matrix = dsyrk(1.0, root.T, lower=1)  # root.T is in Fortran's order, so nothing is copied
    matrix.flat[:: len(diagonal) + 1] += diagonal
    return _cholesky(matrix)


def _cholesky(matrix: Array) -> Callable[[Array], Array]:
    """Factorise the lower half of a positive definite matrix, in place; LAPACK itself, for the calls are many."""
    factor, failed = dpotrf(matrix, lower=1, overwrite_a=True)
    if failed:
        raise LinAlgError("the Newton system is not positive definite")

    def solve(right: Array) -> Array:
        found: Array = dpotrs(factor, right, lower=1)[0]
        return found

    return solve


def _woodbury(root: Array, diagonal: Array) -> Callable[[Array], Array]:
    """Solve with a k by k matrix instead, and refine once: the identity loses digits when the diagonal is small."""
    inner = dsyrk(1.0, (root / np.sqrt(diagonal)).T, trans=1, lower=1)
    inner.flat[:: len(root) + 1] += 1.0
    solve_inner = _cholesky(inner)

    def once(right: Array) -> Array:
        direct: Array = right / diagonal
        direct -= (root.T @ solve_inner(root @ direct)) / diagonal
        return direct

    def refined(right: Array) -> Array:
        found = once(right)
        return found + once(right - root.T @ (root @ found) - found * diagonal)

    return refined


def _pivoted(root: Array, diagonal: Array, jacobian: Array, softness: Array, ones: Array) -> Step:
    count, extra = len(diagonal), len(softness)
    matrix = np.zeros((count + extra + 1, count + extra + 1), order="F")
    matrix[:count, :count] = root.T @ root
    matrix[count:-1, :count] = jacobian
    matrix[:count, count:-1] = jacobian.T
    matrix[-1, :count] = matrix[:count, -1] = ones
    np.einsum("ii->i", matrix)[:-1] += np.concatenate([diagonal, -softness])
    original = matrix.copy()
    factor, pivots, failed = dgetrf(matrix, overwrite_a=True)
    if failed:
        raise LinAlgError("the Newton system is singular")

    def step(a: Array, b: Array, c: float) -> tuple[Array, Array, float]:
        right = np.concatenate([a, b, [c]])
        found, _ = dgetrs(factor, pivots, right)
        found = found + dgetrs(factor, pivots, right - original @ found)[0]
        return found[:count], found[count:-1], float(found[-1])

    return step


__all__ = ["LinAlgError", "factorise"]
