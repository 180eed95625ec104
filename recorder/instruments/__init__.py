"""Every instrument there is, in the order in which it is listed: one file each, imported and listed here."""

from __future__ import annotations

from typing import Any

from recorder.instruments.activation_histogram import ActivationHistogram as ActivationHistogram
from recorder.instruments.activation_statistics import ActivationStatistics as ActivationStatistics
from recorder.instruments.augmentation_variance import AugmentationVariance as AugmentationVariance
from recorder.instruments.change_cosine import ChangeCosine as ChangeCosine
from recorder.instruments.cka import Cka as Cka
from recorder.instruments.correlation_summary import CorrelationSummary as CorrelationSummary
from recorder.instruments.effective_dimension import EffectiveDimension as EffectiveDimension
from recorder.instruments.gradient_angle import GradientAngle as GradientAngle
from recorder.instruments.gradient_histogram import GradientHistogram as GradientHistogram
from recorder.instruments.gradient_norm import GradientNorm as GradientNorm
from recorder.instruments.local_extrema import LocalExtrema as LocalExtrema
from recorder.instruments.moving_averages import MovingAverages as MovingAverages
from recorder.instruments.near_zero import NearZero as NearZero
from recorder.instruments.near_zero_movement import NearZeroMovement as NearZeroMovement
from recorder.instruments.near_zero_relative import NearZeroRelative as NearZeroRelative
from recorder.instruments.probe_activations import ProbeActivations as ProbeActivations
from recorder.instruments.raw_activations import RawActivations as RawActivations
from recorder.instruments.raw_snapshots import RawSnapshots as RawSnapshots
from recorder.instruments.sample_correlation import SampleCorrelation as SampleCorrelation
from recorder.instruments.secant_curvature import SecantCurvature as SecantCurvature
from recorder.instruments.sign_flips import SignFlips as SignFlips
from recorder.instruments.sign_map import SignMap as SignMap
from recorder.instruments.unit_correlation import UnitCorrelation as UnitCorrelation
from recorder.instruments.update_histogram import UpdateHistogram as UpdateHistogram
from recorder.instruments.update_ratio import UpdateRatio as UpdateRatio
from recorder.instruments.weight_change import WeightChange as WeightChange
from recorder.instruments.weight_histogram import WeightHistogram as WeightHistogram
from recorder.instruments.weight_norm import WeightNorm as WeightNorm

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
