#!/usr/bin/env python3
"""What SciPy's Nelder-Mead and L-BFGS-B find on the functions of the tests of nelder_mead and lbfgs, written as their tables.

    python3 tests/peers/scipy_local.py    (pip install scipy)

f(x) = 1/2 ||A x - b||^2 + alpha sum_i (1 - c_i cos 2 pi x_i), n = 4, A_ij = sin(1 + 3 i + 5 j), b_i = cos(i), c_i = 1, x_0 = (1,
-2, 0.5, 3). Prints evaluations and the least value so far; of L-BFGS-B after every iteration.
"""
import numpy
import scipy
from scipy.optimize import minimize

A = numpy.array([[numpy.sin(1 + 3 * i + 5 * j) for j in range(4)] for i in range(4)])
b = numpy.array([numpy.cos(i) for i in range(4)])
x0 = numpy.array([1, -2, 0.5, 3])
COUNTS = [1, 5, 10, 20, 30, 50, 75, 100, 150, 200]


def run(alpha, **settings):
    values, iterations = [], []

    def f(x):
        r = A @ x - b
        values.append(float(r @ r / 2 + alpha * (1 - numpy.cos(2 * numpy.pi * x)).sum()))
        gradient = A.T @ r + 2 * numpy.pi * alpha * numpy.sin(2 * numpy.pi * x)
        return (values[-1], gradient) if settings["method"] == "L-BFGS-B" else values[-1]

    minimize(f, x0, callback=lambda x: iterations.append(len(values)), **settings)
    best = numpy.minimum.accumulate(values)
    counts = iterations[:9] if settings["method"] == "L-BFGS-B" else COUNTS
    return ", ".join(f"{{{k}, {best[k - 1]:.12g}}}" for k in counts)


print("// SciPy", scipy.__version__)
for alpha in (0, 0.1):
    for name, settings in {
        "nelder_mead": {"method": "Nelder-Mead", "options": {"xatol": 1e-14, "fatol": 1e-14, "maxfev": 250}},
        "adaptive": {"method": "Nelder-Mead", "options": {"xatol": 1e-14, "fatol": 1e-14, "maxfev": 250, "adaptive": True}},
        "lbfgs": {"method": "L-BFGS-B", "jac": True, "options": {"ftol": 0, "gtol": 1e-12, "maxfun": 100}},
    }.items():
        print(name, alpha, run(alpha, **settings))
