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


def unit_gram(x: np.ndarray) -> np.ndarray:
    """-> (sample, sample) float64: K~ / ||K~|| of the features `x` (sample, unit), all that CKA has to know of them."""
    k = u_centred(gram(x))
    length = np.linalg.norm(k) if len(k) > 3 else 0
    return k / length if length > 0 and np.isfinite(length) else np.full_like(k, np.nan)


def cka(grams: Sequence[np.ndarray]) -> np.ndarray:
    """-> (layer, layer): debiased CKA of layers, or of steps of one layer, given as their `unit_gram`s."""
    flat = np.array([k.ravel() for k in grams])
    return flat @ flat.T


def minibatch_cka(batches: Iterable[Sequence[np.ndarray]]) -> np.ndarray:
    """-> (layer, layer): debiased CKA over batches of samples, each a list of the layers' features (sample, unit).

    For more samples than Gram matrices fit in memory; raises ValueError without a batch.
    """
    found = [_hsic([u_centred(gram(x)) for x in layers]) for layers in batches]
    if not found:
        raise ValueError("minibatch_cka: expected at least one batch, got none")
    hsic = np.mean(found, axis=0)
    with np.errstate(all="ignore"):
        cka = hsic / np.sqrt(np.outer(np.diagonal(hsic), np.diagonal(hsic)))
    return np.where(np.isfinite(cka), cka, np.nan)


def _hsic(centred: Sequence[np.ndarray]) -> np.ndarray:
    """-> (layer, layer): HSIC_1 of layers given as their K~."""
    flat, n = np.array([k.ravel() for k in centred]), len(centred[0])
    return flat @ flat.T / (n * (n - 3)) if n > 3 else np.full((len(flat), len(flat)), np.nan)
