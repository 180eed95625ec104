"""How long does a frame take, and how many bytes does it send? Run: python benchmarks/painting.py

Each row is the median of a few paints of 120 x 40 cells, beside the 50 ms from key to frame and the 60 kB a frame in
256 colours that the explorer allows itself. The last column is the time relative to an empty frame in the same run.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
from rich.color import ColorSystem
from textual.strip import Strip

from recorder.chart import Band, Bars, Chart, Heat, Line, Picture, Plate, Points, Scale, View
from tui.terminal import Depth, Look, paint

WIDTH, HEIGHT, REPEATS = 120, 40, 7


def views() -> dict[str, View]:
    rng = np.random.default_rng(0)
    step = Scale("step")
    n = 1_000_000
    t = np.arange(float(n))
    spiky = np.exp(-t / 3e5) + 0.05 * rng.random(n)
    spiky[n // 2] = 9.0
    t4 = np.arange(400.0)
    lines = tuple(Line(t4, np.sin(t4 / 40 + k), f"run {k}") for k in range(8))
    smooth = np.exp(-np.arange(512) / 150)[None] * (1 + np.arange(512))[:, None]
    norms = Chart("gradient norm", step, marks=(Heat(smooth * (0.9 + 0.2 * rng.random((512, 512))), log=True),))
    loss = Chart("loss", step, Scale("loss", "nats", log=True), (Band(t4, np.ones(400), 2 + t4), *lines[:2]))
    counts = np.histogram(rng.standard_normal(100_000), 204)
    cloud = rng.standard_normal((2, 10_000))
    return {
        "empty frame": Chart("empty", step, marks=(Line(np.array([0.0, 1.0]), np.array([0.0, 1.0])),)),
        "1 line, 1,000,000 points": Chart("loss", step, marks=(Line(t, spiky),)),
        "8 lines, 400 points": Chart("runs", step, marks=lines),
        "heat 512 x 512": norms,
        "heat 512 x 512, pure noise": Chart("noise", step, marks=(Heat(rng.random((512, 512))),)),
        "heat 120 x 38, diverging noise": Chart(
            "r", step, marks=(Heat(rng.standard_normal((38, 110)), diverging=True),)
        ),
        "histogram, 204 bins": Chart("weights", marks=(Bars(counts[1], counts[0]),)),
        "1,000 points": Chart("pca", marks=(Points(*cloud[:, :1000], group=np.arange(1000) % 10),)),
        "10,000 points": Chart("pca", marks=(Points(*cloud),)),
        "picture 224 x 224": Chart("cat", marks=(Picture(rng.random((224, 224, 3))),)),
        "plate of 6": Plate(((loss, norms), (loss, loss), (Chart("w", marks=(Bars(counts[1], counts[0]),)), loss))),
    }


def sent(strips: list[Strip]) -> int:
    """Bytes of escape sequences and glyphs for the whole frame."""
    return sum(
        len(segment.style.render(segment.text, color_system=ColorSystem.TRUECOLOR).encode())
        for strip in strips
        for segment in strip
        if segment.style
    )


def main() -> None:
    look = Look(Depth.PALETTE)
    base = 0.0
    size = f"{WIDTH} x {HEIGHT}"
    print(f"{'view, ' + size:34} {'ms':>8} {'of 50 ms':>9} {'kB, 256':>8} {'kB, true':>9} {'x empty':>8}")
    for name, view in views().items():
        times = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            paint(view, WIDTH, HEIGHT, look)
            times.append(time.perf_counter() - start)
        took = statistics.median(times) * 1e3
        base = base or took
        palette, true = (
            sent(paint(view, WIDTH, HEIGHT, Look(depth)).strips) / 1e3 for depth in (Depth.PALETTE, Depth.TRUE)
        )
        print(f"{name:34} {took:8.1f} {took / 50:9.2f} {palette:8.1f} {true:9.1f} {took / base:8.1f}")


if __name__ == "__main__":
    main()
