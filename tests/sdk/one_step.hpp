// An optimizer seen through the C tables that the glue fills, with memory for one step of it.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <l2o/sdk/optimizer.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/numerics/central_difference.hpp"

namespace l2o::test {

inline constexpr std::int64_t kM = 3, kN = 70;  // more than a tile

struct Arrays {
    struct One {
        std::vector<double> values;
        std::vector<std::int64_t> dims;
        l2o_tensor tensor{};
    };
    std::deque<One> all;
    std::vector<l2o_tensor*> list;

    /// @param particles  an axis behind the batch, if there are any
    void add(const l2o_spec& spec, std::int64_t batch, double scale, std::int64_t particles = 0) {
        One& one = all.emplace_back();
        if ((spec.flags & L2O_SPEC_BATCHED) != 0) one.dims.push_back(batch);
        if (particles > 0) one.dims.push_back(particles);
        one.dims.insert(one.dims.end(), spec.shape, spec.shape + spec.ndim);
        std::size_t count = 1;
        for (const std::int64_t d : one.dims) count *= static_cast<std::size_t>(d);
        one.values = random_normal(count, 17 + all.size() + std::size_t(100 * scale), scale);
        const std::size_t ndim = one.dims.size();
        one.dims.resize(2 * ndim, 1);
        for (std::size_t j = ndim; j-- > 1;) one.dims[ndim + j - 1] = one.dims[ndim + j] * one.dims[j];
        one.tensor.data = one.values.data();
        one.tensor.ndim = static_cast<std::int32_t>(ndim);
        one.tensor.dtype = L2O_DTYPE_F64;
        one.tensor.shape = one.dims.data(), one.tensor.strides = one.dims.data() + ndim;
        list.push_back(&one.tensor);
    }
    [[nodiscard]] l2o_in in() const { return list.data(); }
};

inline l2o_spec spec_of(const char* name, const std::int64_t* shape, std::int32_t ndim, bool batched) {
    l2o_spec spec{};
    spec.struct_size = sizeof spec, spec.dtype = L2O_DTYPE_F64;
    spec.flags = batched ? L2O_SPEC_BATCHED : 0;
    spec.name = name, spec.doc = "", spec.shape = shape, spec.ndim = ndim;
    return spec;
}

/// A method whose parameters are the test's.
template <class Method>
struct Started : Method {
    template <class T>
    void init_params(const l2o_call&, const l2o::NeedsIn<T>&, const l2o::ParamsOut<T>&) const {}
};

/// A component, and memory for one step of it, scratch as it was declared.
template <class Method>
struct Instance {
    static constexpr const l2o_optimizer_api& kApi = l2o::Optimizer<Started<Method>>::kApi;
    const std::int64_t mn[2]{kM, kN};
    const l2o_spec a = spec_of("A", mn, 2, false), b = spec_of("b", mn, 1, true),
                   x_spec = spec_of("x", mn + 1, 1, true), f_spec = spec_of("f", mn, 0, true);
    const l2o_spec *blocks[1]{&x_spec}, *needs[2]{&a, &b};
    char error[512] = "";
    l2o_call call{};
    l2o_optimizer* optimizer = nullptr;
    l2o_status created = 0;
    std::int64_t batch, number_of_step = 0;
    Arrays data, params, state, x, g, x_out, state_out, x_cot, state_cot, x_acc, g_acc, state_acc, param_acc;
    Arrays f, f_acc;  // of a method that reads values
    std::vector<std::byte> memory;

    explicit Instance(std::int64_t rows) : batch(rows) {
        call.err = error, call.err_cap = sizeof error;
        l2o_problem problem{};
        problem.struct_size = sizeof problem;
        problem.n_blocks = 1, problem.n_data = 2, problem.dtype = L2O_DTYPE_F64;
        problem.blocks = blocks, problem.data = needs;
        created = kApi.create(&call, nullptr, 0, &problem, &optimizer);
        if (created != 0) return;
        const l2o_optimizer_info& info = *kApi.info(optimizer);
        data.add(a, batch, 0.4), data.add(b, batch, 1);
        for (auto [arrays, scale] :
             {std::pair{&x, 1.0}, {&g, 1.5}, {&x_out, 2}, {&x_cot, 2.5}, {&x_acc, 0}, {&g_acc, 0}})
            arrays->add(x_spec, batch, scale, info.particles);
        if ((info.reads & L2O_ORACLE_VALUE) != 0)
            f.add(f_spec, batch, 0.8, info.particles), f_acc.add(f_spec, batch, 0, info.particles);
        for (std::uint32_t i = 0; i < info.n_state; ++i) {
            const l2o_spec& spec = *kApi.state_spec(optimizer, i);
            const std::int64_t copies = (spec.flags & L2O_SPEC_PER_PARTICLE) != 0 ? info.particles : 0;
            for (auto [arrays, scale] :
                 {std::pair{&state, 0.7}, {&state_out, 2}, {&state_cot, 1.2}, {&state_acc, 0}})
                arrays->add(spec, batch, scale, copies);
        }
        for (std::uint32_t i = 0; i < info.n_params; ++i) {
            params.add(*kApi.param_spec(optimizer, i), batch, 0.6);
            param_acc.add(*kApi.param_spec(optimizer, i), batch, 0);
        }
        const std::uint64_t bytes = info.scratch_fixed + std::uint64_t(batch) * info.scratch_per_row;
        memory.resize(bytes + 64);
        const auto at = reinterpret_cast<std::uintptr_t>(memory.data());
        call.scratch = memory.data() + (64 - at % 64) % 64;
        call.scratch_bytes = bytes;
    }
    Instance(const Instance&) = delete;
    Instance& operator=(const Instance&) = delete;
    ~Instance() {
        if (optimizer != nullptr) kApi.destroy(optimizer);
    }
    [[nodiscard]] l2o_step_in in() const {
        l2o_step_in in{};
        in.batch = static_cast<std::uint32_t>(batch), in.t = number_of_step;
        in.params = params.in(), in.state = state.in(), in.x = x.in(), in.g = g.in(), in.data = data.in();
        in.f = f.list.empty() ? nullptr : f.list[0];
        return in;
    }
    l2o_step_out out() {
        l2o_step_out out{};
        out.x = x_out.list.data(), out.state = state_out.list.data();
        return out;
    }
    l2o_status try_step() {
        const l2o_step_in from = in();
        l2o_step_out to = out();
        return kApi.step(optimizer, &call, &from, &to);
    }
    void step() {
        const l2o_status status = try_step();
        INFO(error);
        REQUIRE(status == 0);
    }
    /// <cotangents, outputs> after a step.
    double score() {
        step();
        double sum = 0;
        for (const auto& [made, cot] : {std::pair{&x_out, &x_cot}, {&state_out, &state_cot}})
            for (std::size_t i = 0; i < made->all.size(); ++i)
                sum += dot(made->all[i].values, cot->all[i].values);
        return sum;
    }
    /// @param wanted  whether accumulators are given
    void back(bool keeps, const std::function<bool(const l2o_tensor*)>& wanted) {
        for (Arrays* arrays : {&x_acc, &g_acc, &state_acc, &param_acc, &f_acc})
            for (auto& one : arrays->all) std::ranges::fill(one.values, 0.0);
        const auto given = [&](const Arrays& arrays) {
            std::vector<l2o_tensor*> list = arrays.list;
            for (l2o_tensor*& t : list)
                if (!wanted(t)) t = nullptr;
            return list;
        };
        const auto xs = given(x_acc), gs = given(g_acc), states = given(state_acc), ps = given(param_acc),
                   fs = given(f_acc);
        const l2o_step_in from = in();
        const l2o_step_out made = out();
        l2o_step_cot cot{};
        cot.x = x_cot.in(), cot.state = state_cot.in();
        l2o_step_acc acc{};
        acc.x = xs.data(), acc.g = gs.data(), acc.state = states.data(), acc.params = ps.data();
        acc.f = fs.empty() ? nullptr : fs[0];
        const auto* vjp =
            static_cast<const l2o_optimizer_vjp*>(kApi.get_extension(optimizer, L2O_EXT_OPTIMIZER_VJP));
        const l2o_status status = vjp->step_vjp(optimizer, &call, &from, keeps ? &made : nullptr, &cot, &acc);
        INFO(error);
        REQUIRE(status == 0);
    }
};
inline bool all(const l2o_tensor*) { return true; }
inline bool none(const l2o_tensor*) { return false; }

/// step_vjp against central differences, by every input.
template <class Method>
void check_gradient() {
    for (const bool keeps : {false, true}) {
        Instance<Method> it(3);
        REQUIRE(it.created == 0);
        it.step();
        it.back(keeps, all);
        for (auto [of, got] : {std::pair{&it.x, &it.x_acc},
                               {&it.g, &it.g_acc},
                               {&it.state, &it.state_acc},
                               {&it.params, &it.param_acc},
                               {&it.f, &it.f_acc}})
            for (std::size_t i = 0; i < of->all.size(); ++i) {
                const auto want = central_difference([&] { return it.score(); }, of->all[i].values);
                CAPTURE(keeps);
                CAPTURE(i);
                double error = 0;
                for (std::size_t j = 0; j < want.size(); ++j)
                    error = std::max(error, std::abs(want[j] - got->all[i].values[j]));
                CHECK(error < 1e-6);
            }
    }
}

}  // namespace l2o::test
