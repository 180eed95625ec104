"""How alike are the representations of two layers, whatever their bases and scales? Linear CKA, debiased.

With Gram matrices K = X X', L = Y Y' of n samples, their diagonals set to 0:

    HSIC_1 = [tr KL + (1'K1)(1'L1) / ((n-1)(n-2)) - 2/(n-2) 1'KL1] / (n (n-3))
    CKA = HSIC_1(K, L) / sqrt(HSIC_1(K, K) HSIC_1(L, L))

which is, of the U-centred matrices K~ (zero diagonal, rows that sum to 0; Szekely and Rizzo 2014), the inner product
<K~, L~> / (n (n-3)); so CKA is the cosine of K~ and L~, and HSIC_1(K, K) is never negative. Independent features read 0
at any width, where the biased estimate rises with width over samples. Over minibatches HSIC_1 is averaged before the
division. NaN with fewer than 4 samples, of a layer that is constant over the samples, and of one that is not finite.
(Song et al. 2012; Nguyen, Raghu, Kornblith 2021.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from recorder.analysis.features import centred

CHUNK = 1 << 22  # features that are widened to float64 at a time


def gram(x: np.ndarray) -> np.ndarray:
    """-> (sample, sample) float64: inner products of samples in the features `x` (sample, unit), without their mean.

    HSIC_1 is the same with the mean and without; without, small differences are not lost beside a large mean.
    """
    n, units = x.shape
    found = np.zeros((n, n))
    width = max(1, CHUNK // max(n, 1))
    with np.errstate(all="ignore"):
        for begin in range(0, units, width):
            part = centred(x[:, begin : begin + width])
            found += part @ part.T
    return found


def hsic(grams: np.ndarray, others: np.ndarray | None = None) -> np.ndarray:
    """-> (layer, other layer) float64: HSIC_1 of `grams` (layer, sample, sample) with the `others`, or among them."""
    k = u_centred(grams)
    l = k if others is None else u_centred(others)  # noqa: E741
    n = grams.shape[-1]
    if n < 4:
        return np.full((len(k), len(l)), np.nan)
    return k.reshape(len(k), -1) @ l.reshape(len(l), -1).T / (n * (n - 3))


def cka(layers: Sequence[np.ndarray]) -> np.ndarray:
    """-> (layer, layer) float64: debiased CKA of layers given as their features (sample, unit)."""
    return normalised(hsic(np.stack([gram(x) for x in layers])))


def cka_of_grams(grams: np.ndarray, others: np.ndarray | None = None) -> np.ndarray:
    """-> (layer, other layer) float64: debiased CKA of `grams` (layer, sample, sample) with `others`, or among them.

    Layers may as well be steps of one layer, or layers of two runs: all that counts is that the samples are the same.
    """
    if others is None:
        return normalised(hsic(grams))
    lengths = [np.array([hsic(one[None])[0, 0] for one in side]) for side in (grams, others)]
    return _divided(hsic(grams, others), *lengths)


def minibatch_cka(batches: Iterable[Sequence[np.ndarray]]) -> np.ndarray:
    """-> (layer, layer) float64: of batches of samples, each a list of the layers' features (sample, unit)."""
    found = [hsic(np.stack([gram(x) for x in layers])) for layers in batches]
    if not found:
        raise ValueError("minibatch_cka: expected at least one batch, got none")
    return normalised(np.mean(found, axis=0))


def normalised(found: np.ndarray) -> np.ndarray:
    """CKA of HSIC_1 (layer, layer): divided by the roots of its diagonal, and 1 on it."""
    return _divided(found, np.diagonal(found), np.diagonal(found))


def biased_cka(layers: Sequence[np.ndarray]) -> np.ndarray:
    """-> (layer, layer) float64: the plain estimate, for comparison only; it grows with units over samples."""
    k = np.stack([gram(x) for x in layers])  # of centred features: rows and columns sum to 0
    k = k.reshape(len(k), -1)
    return normalised(k @ k.T)


def u_centred(grams: np.ndarray) -> np.ndarray:
    """K~ of each of `grams` (..., sample, sample): zero diagonal, rows and columns that sum to 0."""
    k = np.array(grams, np.float64)
    n = k.shape[-1]
    if n < 3:
        return np.full_like(k, np.nan)
    diagonal = np.arange(n)
    k[..., diagonal, diagonal] = 0
    rows = k.sum(axis=-1) / (n - 2)
    total = rows.sum(axis=-1) / (n - 1)
    k += total[..., None, None] - rows[..., None, :] - rows[..., :, None]
    k[..., diagonal, diagonal] = 0
    return k


def _divided(found: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        cka = found / np.sqrt(one[:, None] * other[None, :])
    return np.where(np.isfinite(cka), cka, np.nan)
