"""How often a contestant of games ends worse than Halpern's iteration:

    python tests/peers/games_worse.py RUN_FOLDER [ROWS.csv]

Of every contestant: means and medians of the run, the starts at which its last distance is less than that of the
contestant `halpern`, and those at which its distance, residual is more than 1.1 times as much. With the rows of a run with evaluate.metric=residual, as `l2o export RUN_FOLDER
--csv ROWS.csv` writes them, also those at which its last residual is more than 1.1 times the least that `halpern` had
recorded by 9/10 of the evaluations, and the largest ratio to that.
"""

import csv
import sys
from collections import defaultdict
from statistics import fmean, median

last = defaultdict(lambda: defaultdict(dict))  # metric, contestant, (instance, start)
with open(sys.argv[1] + "/finals.csv") as file:
    for row in csv.DictReader(file):
        for metric in ("distance", "d_u", "residual"):
            last[metric][row["contestant"]][row["instance"], row["start"]] = float(row[metric] or "inf")
least = {}
if len(sys.argv) > 2:
    with open(sys.argv[2]) as file:
        rows = [row for row in csv.DictReader(file) if row["contestant"] == "halpern"]
    budget = max(float(row["evaluations"]) for row in rows)
    for row in rows:
        key = row["instance"], row["start"]
        if float(row["evaluations"]) <= 0.9 * budget:
            least[key] = min(float(row["residual"]), least.get(key, float("inf")))

for contestant, distances in last["distance"].items():
    worse = [
        sum(value > 1.1 * last[metric]["halpern"][start] for start, value in last[metric][contestant].items())
        for metric in ("distance", "residual")
    ]
    closer = sum(value < last["distance"]["halpern"][start] for start, value in distances.items())
    text = (
        f"{contestant}: {len(distances)} starts, distance mean {fmean(distances.values()):.3g} "
        f"median {median(distances.values()):.3g}, d_u mean {fmean(last['d_u'][contestant].values()):.3g}; "
        f"closer {closer}, worse by distance {worse[0]}, residual {worse[1]}"
    )
    if least:
        ratios = [value / least[start] for start, value in last["residual"][contestant].items()]
        text += f"; than the least {sum(ratio > 1.1 for ratio in ratios)}, at most {max(ratios):.3g} times"
    print(text)
