#!/usr/bin/env python3
"""The trainings of train_layerwise.info in PyTorch: LISTA and ALISTA, 4 layers, two stages per depth.

    export OPENBLAS_NUM_THREADS=1 OMP_WAIT_POLICY=passive
    python3 tests/benchmarks/train_layerwise.py
    l2o train tests/benchmarks/train_layerwise.info --threads 1 --retrain

Both print their times. While only layer k learns, PyTorch runs the layers before it without a graph, and l2o runs them
once per training sample.
"""
import time

import torch

LAYERS, STEPS, BATCH, INSTANCES, M, N = 4, 200, 128, 6400, 256, 512
RATES = {"new": 5e-4, "all": 1e-4}

torch.set_num_threads(1)
torch.manual_seed(42)
A = torch.randn(M, N)
A /= A.norm(dim=0)


def signals(count):
    x = (torch.rand(count, N) < 0.1).float() * torch.randn(count, N)
    return x @ A.T, x


def learned(value):
    return torch.as_tensor(value).clone().requires_grad_()


def soft_threshold(z, theta):
    return torch.sign(z) * torch.relu(torch.abs(z) - theta)


class Lista:
    def __init__(self):
        lipschitz = 1.001 * torch.linalg.matrix_norm(A, 2) ** 2
        self.B = learned(A.T / lipschitz)
        self.S = [learned(torch.eye(N) - A.T @ A / lipschitz) for _ in range(LAYERS)]
        self.theta = [learned(0.005 / lipschitz) for _ in range(LAYERS)]

    def of(self, k):
        return [self.theta[k], self.B if k == 0 else self.S[k]]

    def layer(self, k, x, b):
        z = b @ self.B.T
        if k > 0:
            z = z + x @ self.S[k].T
        return soft_threshold(z, self.theta[k])


class Alista:
    def __init__(self):
        W = torch.linalg.solve(A @ A.T, A)
        self.W = W / (W * A).sum(0)
        self.gamma = [learned(1.0) for _ in range(LAYERS)]
        self.theta = [learned(0.3) for _ in range(LAYERS)]

    def of(self, k):
        return [self.gamma[k], self.theta[k]]

    def layer(self, k, x, b):
        u = self.gamma[k] * ((b if k == 0 else b - x @ A.T) @ self.W)
        z = u if k == 0 else x + u
        size = z.detach().abs()
        count = round((N - 1) * min(1.2 * (k + 1), 13) / 100)
        bar = size.topk(count + 1, dim=1)[0][:, -1:]
        return torch.where((size > bar) & (size > self.theta[k]), z, soft_threshold(z, self.theta[k]))


def train(net, depth, part, b, x_star):
    first = depth - 1 if part == "new" else 0
    for k in range(LAYERS):
        for parameter in net.of(k):
            parameter.requires_grad_(first <= k < depth)
    optimizer = torch.optim.Adam([p for k in range(first, depth) for p in net.of(k)], lr=RATES[part])
    for step in range(STEPS):
        at = step * BATCH % INSTANCES
        rows, want = b[at : at + BATCH], x_star[at : at + BATCH]
        x = None
        with torch.no_grad():
            for k in range(first):
                x = net.layer(k, x, rows)
        for k in range(first, depth):
            x = net.layer(k, x, rows)
        loss = ((x - want) ** 2).sum() / (2 * BATCH)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


b, x_star = signals(INSTANCES)
test_b, test_x = signals(1024)
for net in (Lista(), Alista()):
    begin = time.process_time()
    for depth in range(1, LAYERS + 1):
        for part in RATES:
            train(net, depth, part, b, x_star)
    seconds = time.process_time() - begin
    with torch.no_grad():
        x = None
        for k in range(LAYERS):
            x = net.layer(k, x, test_b)
        nmse = 10 * torch.log10(((x - test_x) ** 2).sum(1) / (test_x**2).sum(1)).mean()
    steps = LAYERS * len(RATES) * STEPS
    print(f"{type(net).__name__}: {steps} steps in {seconds:.1f} s, NMSE {nmse:.2f} dB")
