#!/usr/bin/env python3
"""How many evaluations PyPI's `cma` takes to f <= 1e-9 on the functions of tests/numerics/test_cma.cpp, n = 10, and
until it ends by itself.

    python3 tests/peers/pycma.py [SEEDS]    (pip install cma numpy)

x_0 ~ N(0, I), sigma_0 = 0.5, its defaults otherwise; prints a median over seeds (default: 51) per function.
"""
import statistics
import sys

import cma
import numpy

seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 51
scale = 10 ** (6 * numpy.arange(10) / 9)
functions = {
    "sphere": lambda x: float(numpy.dot(x, x)),
    "ellipsoid": lambda x: float(numpy.dot(scale, numpy.square(x))),
}
print("pycma", cma.__version__)
for diagonal in (False, True):
    for name, f in functions.items():
        counts = []
        for seed in range(1, seeds + 1):
            x0 = numpy.random.default_rng(seed).standard_normal(10)
            options = {"seed": seed, "verbose": -9, "ftarget": 1e-9, "maxfevals": 20000, "CMA_diagonal": diagonal}
            result = cma.fmin2(f, x0, 0.5, options)[1].result
            counts.append(result.evaluations if result.fbest <= 1e-9 else 20000)
        print("diagonal" if diagonal else "full", name, statistics.median(counts))
functions["rastrigin"] = lambda x: float(numpy.sum(numpy.square(x) + 10 - 10 * numpy.cos(2 * numpy.pi * x)))
for name in ("sphere", "rastrigin"):
    counts, why = [], set()
    for seed in range(1, seeds + 1):
        x0 = numpy.random.default_rng(seed).standard_normal(10)
        result = cma.fmin2(functions[name], x0, 0.5, {"seed": seed, "verbose": -9})[1].result
        counts.append(result.evaluations)
        why.update(result.stop)
    print("to its end", name, statistics.median(counts), *sorted(why))
