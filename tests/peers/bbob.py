#!/usr/bin/env python3
"""How much of bbob cma_es, nelder_mead and lbfgs solve, beside PyPI's cma and SciPy, and learned optimizers beside cma.

    pip install cma scipy safetensors numpy
    python3 tests/peers/bbob.py --l2o build/dev/bin/l2o --plugins PLUGINS --coco COCO [--keep peers.json]

PLUGINS has examples/third_party/coco_bbob (its README says how it is built), COCO coco.c and coco.h. All 24 functions, 5
instances of each, from the same starts, uniform in [-4, 4]^n. Of a run counts the best value paid for within the budget:
the share of the 51 targets f_opt + 10^2 ... 10^-8, uniform in the logarithm, that it has met. Prints the mean of that share,
ours over the peer's, and the 95 % interval of this ratio: a bootstrap over the 120 problems, each the mean of its seeds.
Who ends before the budget starts again: PyPI's cma anywhere in [-4, 4]^n with twice the population (IPOP), and SciPy's,
which have no restarts, where ours do, from N(x_0, 2^2).
--also "les --weights FILE" adds one of ours, compared with cma. --keep: peers are run once, and found again in that file.
"""
import argparse
import ctypes
import json
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time

import cma
import numpy
import scipy
from safetensors.numpy import load_file, save_file
from scipy.optimize import minimize

PROBLEMS = [(function, instance) for function in range(1, 25) for instance in range(1, 6)]
GET_PROBLEM = "coco_suite_get_problem_by_function_dimension_instance"
TARGETS = 10 ** numpy.linspace(2, -8, 51)
OURS = {
    "cma_es": ("cma", "cma_es --set sigma0=2"),
    "nelder_mead": ("nelder_mead", "nelder_mead --set restart=true --set spread=2"),
    "lbfgs": ("lbfgsb", "lbfgs --set restart=true --set spread=2 --set differences=true"),
}


class Coco:
    """The functions by COCO's own code."""

    def __init__(self, folder, scratch):
        library = pathlib.Path(scratch) / "libcoco.so"
        source = pathlib.Path(folder) / "coco.c"
        subprocess.run(["cc", "-w", "-O2", "-ffp-contract=off", "-fPIC", "-shared", source, "-o", library, "-lm"], check=True)
        self.coco = ctypes.CDLL(library)
        for name, arguments, result in [
            ("coco_suite", [ctypes.c_char_p] * 3, ctypes.c_void_p),
            (GET_PROBLEM, [ctypes.c_void_p] + [ctypes.c_size_t] * 3, ctypes.c_void_p),
            ("coco_problem_get_best_value", [ctypes.c_void_p], ctypes.c_double),
            ("coco_evaluate_function", [ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_double)], None),
        ]:
            getattr(self.coco, name).argtypes, getattr(self.coco, name).restype = arguments, result
        self.coco.coco_set_log_level(b"error")

    def problem(self, function, n, instance):
        suite = self.coco.coco_suite(b"bbob", f"instances: {instance}".encode(), f"dimensions: {n}".encode())
        problem = getattr(self.coco, GET_PROBLEM)(suite, function, n, instance)
        point, value, evaluate = numpy.empty(n), ctypes.c_double(), self.coco.coco_evaluate_function
        at, to = point.ctypes.data, ctypes.byref(value)

        def f(x):
            point[:] = x
            evaluate(problem, at, to)
            return value.value

        return f, self.coco.coco_problem_get_best_value(problem)


class Spent(Exception):
    pass


class Paid:
    """Values until the last budget is spent, and the least of them within each."""

    def __init__(self, f, budgets):
        self.f, self.budgets, self.count, self.least, self.best = f, budgets, 0, [], numpy.inf

    def __call__(self, x):
        if self.count == self.budgets[-1]:
            raise Spent
        value = self.f(x)
        self.best = min(self.best, value)
        self.count += 1
        if self.count in self.budgets:
            self.least.append(self.best)
        return value


def run_cma(f, x, draw, seed):
    population = None
    while True:
        options = {"verbose": -9, "seed": seed + 1} | ({"popsize": population} if population else {})
        search = cma.CMAEvolutionStrategy(x, 2, options)
        while not search.stop():
            points = search.ask()
            search.tell(points, [f(y) for y in points])
        population, seed, x = 2 * search.popsize, seed + 1000, draw()


def run_nelder_mead(f, x, draw, seed):
    options = {"xatol": 1e-8, "fatol": 1e-8, "maxfev": 10**9, "maxiter": 10**9}
    while True:
        minimize(f, x, method="Nelder-Mead", options=options)
        x = draw()


def run_lbfgsb(f, x, draw, seed):
    options = {"ftol": 0, "gtol": 1e-12, "maxfun": 10**9, "maxiter": 10**9}
    step = 1e-8 * numpy.eye(len(x))

    def f_and_gradient(y):
        """The differences that SciPy takes by itself, in less time."""
        value, beside = f(y), y + step
        return value, numpy.array([f(z) - value for z in beside]) / (beside.diagonal() - y)

    while True:
        minimize(f_and_gradient, x, jac=True, method="L-BFGS-B", options=options)
        x = draw()


PEERS = {"cma": run_cma, "nelder_mead": run_nelder_mead, "lbfgsb": run_lbfgsb}


def peer_gaps(name, functions, starts, budgets, seed):
    gaps = []
    for number, ((f, f_opt), x) in enumerate(zip(functions, starts)):
        paid = Paid(f, budgets)
        random = numpy.random.default_rng([seed, number])
        draw = (lambda: random.uniform(-4, 4, len(x))) if name == "cma" else lambda: random.normal(x, 2)
        try:
            PEERS[name](paid, x, draw, seed)
        except Spent:
            gaps.append([least - f_opt for least in paid.least])
    return gaps


def our_gaps(arguments, f_opts, starts, budget, given, scratch):
    """Of all seeds in one file: starts [seeds, problems, n]."""
    seeds = len(starts)
    problem, output = f"{scratch}/problem.safetensors", f"{scratch}/output.safetensors"
    columns = numpy.array(PROBLEMS * seeds, dtype=numpy.int32).T
    save_file(
        {"function": columns[0].copy(), "instance": columns[1].copy(), "x0": numpy.concatenate(starts)},
        problem,
        metadata={"l2o.optimizee": "org.example.coco_bbob", "l2o.options": json.dumps({"n": starts[0].shape[1]})},
    )
    command = [given.l2o, "solve", "--optimizer", *shlex.split(arguments), "--problem", problem, "--output", output]
    command += ["--iterations", str(budget), "--max-evaluations", str(budget), "--plugin-path", given.plugins, "--quiet"]
    done = subprocess.run(command + ["--threads", "1"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{shlex.join(command)}: {done.returncode}\n{done.stderr}")
    return load_file(output)["f_best"].reshape(seeds, len(PROBLEMS)) - numpy.array(f_opts)


def share(gaps):
    return numpy.mean(numpy.asarray(gaps)[..., None] <= TARGETS, axis=-1)


def ratio(ours, theirs):
    """And its interval, of shares [seeds, problems]."""
    ours, theirs = ours.mean(0), theirs.mean(0)
    pick = numpy.random.default_rng(0).integers(len(PROBLEMS), size=(10000, len(PROBLEMS)))
    return ours.mean() / theirs.mean(), numpy.quantile(ours[pick].mean(1) / theirs[pick].mean(1), [0.025, 0.975])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("l2o", "plugins", "coco"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--dimensions", type=int, nargs="+", default=[5, 10])
    parser.add_argument("--only", nargs="+", default=list(OURS), choices=list(OURS))
    parser.add_argument("--also", action="append", default=[])
    parser.add_argument("--keep")
    parser.add_argument("--functions", action="store_true", help="also the shares of every function")
    given = parser.parse_args()
    kept_in = pathlib.Path(given.keep) if given.keep else None
    kept = json.loads(kept_in.read_text()) if kept_in and kept_in.exists() else {}
    contestants = {name: OURS[name] for name in given.only} | {text: ("cma", text) for text in given.also}
    print(f"cma {cma.__version__}, SciPy {scipy.__version__}, {given.seeds} seeds")
    print("| n | evaluations | ours | share | peer | share | ratio | 95 % |\n|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        coco = Coco(given.coco, scratch)
        for n in given.dimensions:
            budgets = [100 * n, 1000 * n]
            functions = [coco.problem(function, n, instance) for function, instance in PROBLEMS]
            starts = [numpy.random.default_rng([n, seed]).uniform(-4, 4, (len(PROBLEMS), n)) for seed in range(given.seeds)]
            for name, (peer, arguments) in contestants.items():
                theirs = []
                for seed in range(given.seeds):
                    key = f"{peer} {n} {seed}"
                    if key not in kept:
                        begin = time.process_time()
                        kept[key] = peer_gaps(peer, functions, starts[seed], budgets, seed)
                        print(f"{key}: {time.process_time() - begin:.0f} s", file=sys.stderr, flush=True)
                        if kept_in:
                            kept_in.write_text(json.dumps(kept))
                    theirs.append(kept[key])
                theirs = share(theirs)
                for which, budget in enumerate(budgets):
                    ours = share(our_gaps(arguments, [f_opt for _, f_opt in functions], starts, budget, given, scratch))
                    peers = theirs[..., which]
                    r, (low, high) = ratio(ours, peers)
                    print(f"| {n} | {budget} | {name} | {ours.mean():.3f} | {peer} | {peers.mean():.3f} | {r:.3f} ", end="")
                    print(f"| {low:.3f} .. {high:.3f} |", flush=True)
                    if given.functions:
                        for k in range(24):
                            of = slice(5 * k, 5 * k + 5)
                            print(f"    f{k + 1}: {ours[:, of].mean():.3f} {peers[:, of].mean():.3f}")


if __name__ == "__main__":
    main()
