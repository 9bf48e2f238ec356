#!/usr/bin/env python3
"""The training of train_rastrigin.info in PyTorch: L2O-DM on random Rastrigin functions, n = 10, 128 at a time.

    export OPENBLAS_NUM_THREADS=1 OMP_WAIT_POLICY=passive
    python3 tests/benchmarks/train_rastrigin.py
    l2o train tests/benchmarks/train_rastrigin.info --threads 1 --retrain

Both print their times: ten trajectories of 100 steps, a meta-step every 20.
"""
import math
import time

import torch

N, BATCH, TRAJECTORIES, HORIZON, UNROLL, HIDDEN, SCALE = 10, 128, 10, 100, 20, 20, 0.1

torch.set_num_threads(1)
torch.manual_seed(42)
cells = [torch.nn.LSTMCell(2, HIDDEN), torch.nn.LSTMCell(HIDDEN, HIDDEN)]
readout = torch.nn.Linear(HIDDEN, 1)
parameters = [p for module in (*cells, readout) for p in module.parameters()]
meta = torch.optim.Adam(parameters, lr=1e-3)


def features(g):
    """Logarithm and sign, k = 5."""
    g = g.reshape(-1, 1)
    size = ((g.abs() + 2**-23).log() / 5).clamp(min=-1)
    return torch.cat([size, (g * math.exp(5)).clamp(-1, 1)], 1)


begin = time.process_time()
for trajectory in range(TRAJECTORIES):
    A, b, c = torch.randn(BATCH, N, N), torch.randn(BATCH, N), torch.randn(BATCH, N)

    def objective(x):
        residual = torch.einsum("bij,bj->bi", A, x) - b
        return (residual**2).sum(1) / 2 - 10 * (c * torch.cos(2 * math.pi * x)).sum(1) + 10 * N

    x = torch.randn(BATCH, N)
    state = [(torch.zeros(BATCH * N, HIDDEN), torch.zeros(BATCH * N, HIDDEN)) for _ in cells]
    for first in range(0, HORIZON, UNROLL):
        total = 0
        x = x.detach().requires_grad_()
        state = [(h.detach(), c.detach()) for h, c in state]
        for _ in range(UNROLL):
            f = objective(x).mean()
            total = total + f
            (g,) = torch.autograd.grad(f, x, retain_graph=True)  # a constant of the step, first order
            h = features(g.detach() * BATCH)
            for k, cell in enumerate(cells):
                state[k] = cell(h, state[k])
                h = state[k][0]
            x = x + SCALE * readout(h).reshape(BATCH, N)
        total = total + objective(x).mean()
        meta.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        meta.step()
seconds = time.process_time() - begin
steps = TRAJECTORIES * HORIZON
print(f"{steps} inner steps in {seconds:.2f} s, {steps / seconds:.0f} per second; last window {total.item():.0f}")
