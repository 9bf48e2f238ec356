// Writes a problem file: a Gaussian A [m, n] with columns of norm 1, and a first b.
//
//     make_problem problem.safetensors [m n]
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "framework/error.hpp"
#include "framework/store/safetensors.hpp"

int main(int argc, char** argv) {
    using namespace l2o::framework;
    if (argc != 2 && argc != 4) return std::fprintf(stderr, "usage: make_problem FILE [M N]\n"), 2;
    const std::int64_t m = argc == 4 ? std::atoll(argv[2]) : 256, n = argc == 4 ? std::atoll(argv[3]) : 512;
    try {
        Tensor a(Dtype::kF32, {m, n}), b(Dtype::kF32, {1, m});
        std::mt19937_64 random(1);
        std::normal_distribution<float> normal;
        for (float& entry : a.values<float>()) entry = normal(random);
        for (std::int64_t j = 0; j < n; ++j) {
            double square = 0;
            for (std::int64_t i = 0; i < m; ++i) square += std::pow(a.value(i * n + j), 2);
            for (std::int64_t i = 0; i < m; ++i)
                a.values<float>()[static_cast<std::size_t>(i * n + j)] /=
                    static_cast<float>(std::sqrt(square));
        }
        for (float& entry : b.values<float>()) entry = normal(random);
        write_safetensors(argv[1],
                          {{"A", &a}, {"b", &b}},
                          {{"l2o.optimizee", "sparse_recovery"}, {"l2o.options", R"({"lambda": 0.001})"}});
    } catch (const Error& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return static_cast<int>(error.code());
    }
}
