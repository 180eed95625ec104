"""These tests run in an environment of their own, `.venv-keras`: TensorFlow and torch do not share a process well."""

from __future__ import annotations

import gc
import os

import pytest

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import keras
import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
gc.collect()
gc.freeze()  # what is imported stays, and clear_session collects garbage before each test


@pytest.fixture(autouse=True)
def _same_draws() -> None:
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
