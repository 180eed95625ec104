"""Every instrument there is, in the order in which it is listed. One file each; a new one adds one line here."""

from __future__ import annotations

from typing import Any

from recorder.instruments.activation_histogram import ActivationHistogram
from recorder.instruments.activation_statistics import ActivationStatistics
from recorder.instruments.augmentation_variance import AugmentationVariance
from recorder.instruments.change_cosine import ChangeCosine
from recorder.instruments.cka import Cka
from recorder.instruments.correlation_summary import CorrelationSummary
from recorder.instruments.effective_dimension import EffectiveDimension
from recorder.instruments.gradient_angle import GradientAngle
from recorder.instruments.gradient_histogram import GradientHistogram
from recorder.instruments.gradient_norm import GradientNorm
from recorder.instruments.local_extrema import LocalExtrema
from recorder.instruments.moving_averages import MovingAverages
from recorder.instruments.near_zero import NearZero
from recorder.instruments.near_zero_movement import NearZeroMovement
from recorder.instruments.near_zero_relative import NearZeroRelative
from recorder.instruments.probe_activations import ProbeActivations
from recorder.instruments.raw_activations import RawActivations
from recorder.instruments.raw_snapshots import RawSnapshots
from recorder.instruments.sample_correlation import SampleCorrelation
from recorder.instruments.secant_curvature import SecantCurvature
from recorder.instruments.sign_flips import SignFlips
from recorder.instruments.sign_map import SignMap
from recorder.instruments.unit_correlation import UnitCorrelation
from recorder.instruments.update_histogram import UpdateHistogram
from recorder.instruments.update_ratio import UpdateRatio
from recorder.instruments.weight_change import WeightChange
from recorder.instruments.weight_histogram import WeightHistogram
from recorder.instruments.weight_norm import WeightNorm

INSTRUMENTS: tuple[Any, ...] = (
    GradientNorm,
    WeightNorm,
    UpdateRatio,
    WeightChange,
    NearZero,
    SignFlips,
    LocalExtrema,
    GradientAngle,
    ChangeCosine,
    SecantCurvature,
    NearZeroMovement,
    NearZeroRelative,
    MovingAverages,
    SignMap,
    ActivationStatistics,
    WeightHistogram,
    GradientHistogram,
    UpdateHistogram,
    ActivationHistogram,
    UnitCorrelation,
    CorrelationSummary,
    SampleCorrelation,
    Cka,
    EffectiveDimension,
    AugmentationVariance,
    RawSnapshots,
    RawActivations,
    ProbeActivations,
)

__all__ = [
    "INSTRUMENTS",
    "ActivationHistogram",
    "ActivationStatistics",
    "AugmentationVariance",
    "ChangeCosine",
    "Cka",
    "CorrelationSummary",
    "EffectiveDimension",
    "GradientAngle",
    "GradientHistogram",
    "GradientNorm",
    "LocalExtrema",
    "MovingAverages",
    "NearZero",
    "NearZeroMovement",
    "NearZeroRelative",
    "ProbeActivations",
    "RawActivations",
    "RawSnapshots",
    "SampleCorrelation",
    "SecantCurvature",
    "SignFlips",
    "SignMap",
    "UnitCorrelation",
    "UpdateHistogram",
    "UpdateRatio",
    "WeightChange",
    "WeightHistogram",
    "WeightNorm",
]
