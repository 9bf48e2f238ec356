#!/usr/bin/env python3
"""Three steps of L2O-Swarm in float64 by its equations, number by number: the values that test_l2o_swarm.cpp compares with.

    python3 tests/peers/swarm_step.py    (pip install numpy)

Two instances of three particles with four coordinates. Weight i of the parameter in place k is 0.3 sin(1 + 7 k + i), x_0 =
2 sin(3 i), and in step t g = 1.5 cos(2 + i + 5 t), f = sin(4 + 3 r + t) of row r. Prints x, intra and inter after the third.
"""
import numpy as np

B, P, N, HIDDEN, WIDTH, STEPS = 2, 3, 4, 5, 3, 3
K, SCALE, BETA, ALPHA, LENGTH = 5, 0.1, 0.9, 0.5, 2.0
NAMES = {
    "lstm_1/w_gates": (2 + HIDDEN, 4 * HIDDEN),
    "lstm_1/b_gates": (4 * HIDDEN,),
    "lstm_2/w_gates": (2 * HIDDEN, 4 * HIDDEN),
    "lstm_2/b_gates": (4 * HIDDEN,),
    "linear/w": (HIDDEN, 1),
    "linear/b": (1,),
    "attn/W_a": (1, WIDTH),
    "attn/U_a": (HIDDEN, WIDTH),
    "attn/b": (WIDTH,),
    "attn/v_a": (WIDTH,),
}
w = {
    name: 0.3 * np.sin(1 + 7 * k + np.arange(np.prod(shape))).reshape(shape)
    for k, (name, shape) in enumerate(NAMES.items())
}


def logistic(z):
    return 1 / (1 + np.exp(-z))


def softmax(z):
    e = np.exp(z)
    return e / e.sum()


def lstm(layer, z, h, c):
    i, j, f, o = np.split(np.concatenate([z, h]) @ w[f"lstm_{layer}/w_gates"] + w[f"lstm_{layer}/b_gates"], 4)
    c = logistic(f + 1) * c + logistic(i) * np.tanh(j)
    return logistic(o) * np.tanh(c), c


x = 2 * np.sin(3 * np.arange(B * P * N)).reshape(B, P, N)
zero = lambda: np.zeros((B, P, N, HIDDEN))
h1, c1, h2, c2 = zero(), zero(), zero(), zero()
m, best, best_f = np.zeros_like(x), np.zeros_like(x), np.full((B, P), np.inf)
for t in range(STEPS):
    g = 1.5 * np.cos(2 + np.arange(B * P * N) + 5 * t).reshape(B, P, N)
    f = np.sin(4 + 3 * np.arange(B * P) + t).reshape(B, P)
    intra, inter, x_next = np.zeros((B, P, 4, N)), np.zeros((B, P, P)), x.copy()
    for b in range(B):
        c = np.zeros((P, N))
        for i in range(P):
            if f[b, i] < best_f[b, i]:
                best[b, i], best_f[b, i] = x[b, i], f[b, i]
            m[b, i] = BETA * m[b, i] + (1 - BETA) * g[b, i]
            better = [j for j in range(P) if f[b, j] < f[b, i]]
            near = [np.exp(-ALPHA * ((x[b, i] - x[b, j]) ** 2).sum()) for j in better]
            attraction = sum(v * (x[b, i] - x[b, j]) for v, j in zip(near, better)) / sum(near) if better else np.zeros(N)
            for n in range(N):
                s = np.array([g[b, i, n], m[b, i, n], x[b, i, n] - best[b, i, n], attraction[n]])
                hears = h2[b, i, n] @ w["attn/U_a"] + w["attn/b"]
                p = softmax(np.array([w["attn/v_a"] @ np.tanh(w["attn/W_a"][0] * s_r + hears) for s_r in s]))
                intra[b, i, :, n] = p
                c[i, n] = p @ s
        for j in range(P):
            q = softmax(np.array([-((x[b, r] - x[b, j]) ** 2).sum() / (2 * LENGTH) for r in range(P)]))
            inter[b, j] = softmax(np.array([c[r] @ c[j] for r in range(P)])) * q
            e = c[j] + inter[b, j] @ c / P
            for n in range(N):
                z = np.array([max(np.log(abs(e[n]) + 2**-23) / K, -1), np.clip(e[n] * np.exp(K), -1, 1)])
                at = b, j, n
                h1[at], c1[at] = lstm(1, z, h1[at], c1[at])
                h2[at], c2[at] = lstm(2, h1[at], h2[at], c2[at])
                x_next[at] += SCALE * (h2[at] @ w["linear/w"][:, 0] + w["linear/b"][0])
    x = x_next
for name, values in {"x": x, "intra": intra, "inter": inter}.items():
    print(name + ":", ", ".join(f"{v:.15g}" for v in values.ravel()))
