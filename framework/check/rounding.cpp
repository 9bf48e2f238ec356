#include "framework/check/rounding.hpp"

#include <algorithm>
#include <cmath>

#include "framework/check/bench.hpp"

namespace l2o::framework {
namespace {

using Contents = std::vector<std::vector<Tensor>>;

Contents contents(const std::vector<GuardedSet*>& sets) {
    Contents out;
    for (const GuardedSet* set : sets) out.push_back(set->clone());
    return out;
}

void put_back(const Contents& from, const std::vector<GuardedSet*>& to) {
    for (std::size_t s = 0; s < to.size(); ++s)
        for (std::size_t i = 0; i < to[s]->size(); ++i)
            if ((*to[s])[i])
                std::memcpy(
                    (*to[s])[i].data(), from[s][i].data(), static_cast<std::size_t>((*to[s])[i].bytes()));
}

void move_by(double rounding, const std::vector<GuardedSet*>& inputs, std::uint64_t index) {
    for (GuardedSet* set : inputs) {
        for (std::size_t i = 0; i < set->size(); ++i) {
            Tensor& tensor = (*set)[i];
            if (!tensor || !is_real(tensor.dtype())) continue;
            const std::vector<double> draws = normals(tensor.size(), ++index);
            for (std::int64_t k = 0; k < tensor.size(); ++k)
                framework::set(
                    tensor, k, tensor.value(k) * (1 + rounding * draws[static_cast<std::size_t>(k)]));
        }
    }
}

double apart(const Tensor& a, const Tensor& b) {
    double most = 0;
    for (std::int64_t k = 0; k < a.size(); ++k) {
        const double x = a.value(k), y = b.value(k);
        if (x == y || (std::isnan(x) && std::isnan(y))) continue;
        const double distance = std::abs(x - y);
        most = std::isnan(distance) ? HUGE_VAL : std::max(most, distance);
    }
    return most;
}

}  // namespace

std::string difference_beyond_rounding(const Results& wants,
                                       const Results& gots,
                                       double tolerance,
                                       double floor,
                                       const std::vector<GuardedSet*>& inputs,
                                       double rounding,
                                       const std::function<void()>& compute,
                                       const Excuse& excuses) {
    const auto difference = [&](std::size_t s, std::size_t i) {
        GuardedSet want, got;
        if (!(*wants[s])[i] || !(*gots[s])[i]) return std::string();
        want.add(wants[s]->name(i), (*wants[s])[i]);
        got.add(wants[s]->name(i), (*gots[s])[i]);
        return difference_beyond(want, got, tolerance, floor);
    };
    bool is_same = true;
    for (std::size_t s = 0; s < wants.size(); ++s)
        for (std::size_t i = 0; i < wants[s]->size(); ++i) is_same = is_same && difference(s, i).empty();
    if (is_same) return "";

    constexpr int kTimes = 16;
    constexpr double kAsFar = 20;  // chosen: what is added up in another order is rounded more often
    const Contents kept = contents(inputs), results = contents(wants);
    std::vector<std::vector<double>> moved;
    for (const GuardedSet* set : wants) moved.emplace_back(set->size());
    for (int time = 0; time < kTimes; ++time) {
        move_by(rounding, inputs, 9000 + 100 * static_cast<std::uint64_t>(time));
        compute();
        for (std::size_t s = 0; s < wants.size(); ++s)
            for (std::size_t i = 0; i < wants[s]->size(); ++i)
                if ((*wants[s])[i]) moved[s][i] = std::max(moved[s][i], apart((*wants[s])[i], results[s][i]));
        put_back(kept, inputs);
    }
    put_back(results, wants);
    for (std::size_t s = 0; s < wants.size(); ++s) {
        for (std::size_t i = 0; i < wants[s]->size(); ++i) {
            const std::string text = difference(s, i);
            if (text.empty() || apart((*wants[s])[i], (*gots[s])[i]) <= kAsFar * moved[s][i]) continue;
            if (!excuses || !excuses(s, i)) return text;
        }
    }
    return "";
}

}  // namespace l2o::framework
