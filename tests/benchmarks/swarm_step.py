#!/usr/bin/env python3
"""The step of l2o_swarm in JAX: P = 4, n = 10, 128 instances, float32, one thread; values and gradients are given.

    taskset -c 1 python3 tests/benchmarks/swarm_step.py    (pip install jax)
    taskset -c 1 build/bin/bench_lstm_step --benchmark_filter=swarm

Prints processor time per coordinate and step, the fastest of some runs: forward, of 100 steps in one compiled scan; and
forward and back, of windows of 20 by reverse mode, with velocity, attraction and q kept constant and not.
"""
import os
import time

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax
import jax.numpy as jnp

B, P, N, HIDDEN, WIDTH, K, SCALE = 128, 4, 10, 20, 10, 5.0, 0.01


def weights(key):
    normal = lambda i, shape, fan: jax.random.normal(jax.random.fold_in(key, i), shape) / fan**0.5
    return {
        "w1": normal(0, (2 + HIDDEN, 4 * HIDDEN), 2 + HIDDEN), "b1": normal(1, (4 * HIDDEN,), 2 + HIDDEN),
        "w2": normal(2, (2 * HIDDEN, 4 * HIDDEN), 2 * HIDDEN), "b2": normal(3, (4 * HIDDEN,), 2 * HIDDEN),
        "w": normal(4, (HIDDEN,), HIDDEN), "b": jnp.zeros(()),
        "wa": normal(5, (WIDTH,), 1), "ua": normal(6, (HIDDEN, WIDTH), HIDDEN),
        "ba": jnp.zeros(WIDTH), "va": normal(7, (WIDTH,), WIDTH),
    }


def cell(w, b, x, h, c):
    i, j, f, o = jnp.split(jnp.concatenate([x, h], -1) @ w + b, 4, -1)
    c = jax.nn.sigmoid(f + 1) * c + jax.nn.sigmoid(i) * jnp.tanh(j)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def step(phi, s, g, f, constant):
    stop = jax.lax.stop_gradient if constant else (lambda v: v)
    x = s["x"]
    better = f < s["best_f"]
    best, best_f = jnp.where(better[..., None], x, s["best"]), jnp.minimum(f, s["best_f"])
    m = 0.9 * s["m"] + 0.1 * g
    at = stop(x)
    d2 = ((at[:, :, None] - at[:, None]) ** 2).sum(-1)
    attracts = f[:, None, :] < f[:, :, None]
    w = jnp.where(attracts, jax.nn.softmax(jnp.where(attracts, -d2, -1e30), -1), 0)
    attraction = jnp.where(attracts.any(-1)[..., None], at - jnp.einsum("bij,bjn->bin", w, at), 0)
    features = jnp.stack([g, m, stop(x - best), attraction], -1)
    hears = s["h2"] @ phi["ua"] + phi["ba"]
    p = jax.nn.softmax(jnp.tanh(features[..., None] * phi["wa"] + hears[..., None, :]) @ phi["va"], -1)
    c = (p * features).sum(-1)
    inter = jax.nn.softmax(jnp.einsum("bjn,brn->bjr", c, c), -1) * jax.nn.softmax(-d2 / 2, -1)
    e = c + jnp.einsum("bjr,brn->bjn", inter, c) / P
    z = jnp.stack([jnp.maximum(jnp.log(jnp.abs(e) + 2.0**-23) / K, -1), jnp.clip(e * jnp.exp(K), -1, 1)], -1)
    h1, c1 = cell(phi["w1"], phi["b1"], z, s["h1"], s["c1"])
    h2, c2 = cell(phi["w2"], phi["b2"], h1, s["h2"], s["c2"])
    moved = x + SCALE * (h2 @ phi["w"] + phi["b"])
    return {"x": moved, "best": best, "best_f": best_f, "m": m, "h1": h1, "c1": c1, "h2": h2, "c2": c2}


def run(phi, s, g, f, steps, constant):
    def one(s, _):
        return step(phi, s, g, f, constant), None

    return jax.lax.scan(one, s, None, length=steps)[0]


key = jax.random.key(7)
phi = weights(key)
draw = lambda i, shape: jax.random.normal(jax.random.fold_in(key, 100 + i), shape)
x, g, f = draw(0, (B, P, N)), 30 * draw(1, (B, P, N)), draw(2, (B, P))
none = jnp.zeros((B, P, N, HIDDEN))
start = {"x": x, "best": x, "best_f": jnp.full((B, P), jnp.inf), "m": jnp.zeros_like(x),
         "h1": none, "c1": none, "h2": none, "c2": none}


def report(name, function, steps):
    jax.block_until_ready(function(phi, start))
    best = float("inf")
    for _ in range(10):
        begin = time.process_time()
        jax.block_until_ready(function(phi, start))
        best = min(best, time.process_time() - begin)
    print(f"{name}: {1e9 * best / (steps * B * P * N):.0f} ns per coordinate and step")


report("forward", jax.jit(lambda phi, s: run(phi, s, g, f, 100, True)["x"]), 100)
for constant in (True, False):
    loss = lambda phi, s: run(phi, s, g, f, 20, constant)["x"].sum()
    report("train, distances " + ("constant" if constant else "differentiated"), jax.jit(jax.grad(loss)), 20)
