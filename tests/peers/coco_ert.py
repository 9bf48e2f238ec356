#!/usr/bin/env python3
"""Whether cocopp and iohinspector find in exported runs the expected running times that results.json tells.

    L2O=build/dev/bin/l2o python3 tests/peers/coco_ert.py    (pip install cocopp iohinspector six)

Runs small quadratics and lassos, exports them (suite bbob, one function per optimizee and section), reads the
folders back and prints a line per contestant, function and dimension. Exit code 1 if an ERT differs.
"""
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

os.environ.setdefault("MPLBACKEND", "Agg")

EXPERIMENT = """
name {optimizee}{n}
seed 7
dtype float64
optimizee {{ use {optimizee} {options} }}
contestants {{
    descent {{ optimizer {{ use gradient_descent learning_rate {rate} }} }}
    adam {{ optimizer {{ use adam learning_rate {{ sweep 0.03 0.3 }} }} }}
    swarm {{ optimizer {{ use particle_swarm particles 4 }} }}
}}
evaluate {{ instances 15 starts 2 iterations 400 max_evaluations 1000 metric objective metrics_every 50 }}
"""
RUNS = [  # function, optimizee, dimension, options, learning rate of descent
    (1, "quadratic", 2, "n 2", 0.1),
    (1, "quadratic", 5, "n 5", 0.05),
    (2, "lasso", 6, "m 4 n 6 init_std 1", 0.01),
]
WITHIN = 1e-9  # of the decimal digits that an ERT and a target lose on their way


def l2o(*arguments):
    done = subprocess.run([os.environ["L2O"], *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"l2o {' '.join(arguments)}: {done.returncode}\n{done.stderr}")
    return done.stdout


def same(ours, theirs):
    if math.isinf(ours) or math.isinf(theirs):
        return ours == theirs
    return abs(ours - theirs) <= WITHIN * ours


def ert_of_logs(runs, target):
    """From (evaluations, value) of every run, the last entry being its end."""
    until = [next((e for e, y in run if y <= target), None) for run in runs]
    reached = sum(e is not None for e in until)
    spent = sum(run[-1][0] if e is None else e for run, e in zip(runs, until))
    return spent / reached if reached else math.inf


def exported(folder):
    """Runs and exports everything. Returns {(function, dimension): running times of results.json}."""
    told = {}
    for function, optimizee, n, options, rate in RUNS:
        info = folder / f"{optimizee}{n}.info"
        info.write_text(EXPERIMENT.format(optimizee=optimizee, n=n, options=options, rate=rate))
        run = json.loads(l2o("run", str(info), "--no-report", "--json", "--quiet", "--out", str(folder / "runs")))
        l2o("export", run["folder"], "--coco", str(folder / "coco"), "--ioh", str(folder / "ioh"), "--function",
            str(function))
        told[function, n] = json.loads((pathlib.Path(run["folder"]) / "results.json").read_text())["runtimes"]
    return told


def main():
    warnings.simplefilter("ignore")
    import cocopp
    import iohinspector

    wrong = compared = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for (function, n), runtimes in exported(folder).items():
            assert runtimes["targets_of"] == "f - f_opt"
            targets = runtimes["targets"]
            for one in runtimes["entries"]:
                ours = [math.inf if ert is None else ert for ert in one["expected"]]
                sets = cocopp.pproc.DataSetList([str(folder / "coco" / one["name"])])
                [data] = [d for d in sets if d.funcId == function and d.dim == n]
                coco = [float(ert) for ert in data.detERT([t * (1 + 1e-12) for t in targets])]
                manager = iohinspector.DataManager()
                manager.add_folder(str(folder / "ioh" / one["name"]))
                table = manager.select(function_ids=[function], dimensions=[n]).load(
                    monotonic=False, include_meta_data=True)
                logs = [list(part.select(["evaluations", "raw_y"]).iter_rows())
                        for _, part in table.group_by(["data_id"], maintain_order=True)]
                ioh = [ert_of_logs(logs, t) for t in targets]
                finite = sum(map(math.isfinite, ours))
                differ = sum(not (same(a, b) and same(a, c)) for a, b, c in zip(ours, coco, ioh))
                print(f"f{function} DIM {n} {one['name']}: {len(data.instancenumbers)} trials, {len(logs)} logs, "
                      f"{finite} of {len(targets)} targets reached, {differ} ERTs differ")
                if differ:
                    print("  results.json", ours, "\n  cocopp      ", coco, "\n  iohinspector", ioh)
                wrong += differ
                compared += finite
    print(f"{compared} finite ERTs compared, {wrong} differ")
    sys.exit(1 if wrong or not compared else 0)


if __name__ == "__main__":
    main()
