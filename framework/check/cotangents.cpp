#include "framework/check/cotangents.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "framework/check/bench.hpp"

namespace l2o::framework {

GuardedSet zeros_like(const GuardedSet& like) {
    GuardedSet out;
    for (std::size_t i = 0; i < like.size(); ++i) {
        // A counter of a state has no derivative.
        if (like[i] && is_real(like[i].dtype())) {
            out.add("cotangent of " + like.name(i), like[i].dtype(), like[i].shape());
        } else {
            out.add_absent(like.name(i));
        }
    }
    return out;
}

GuardedSet random_like(const GuardedSet& like, std::uint64_t index) {
    GuardedSet out = zeros_like(like);
    for (std::size_t i = 0; i < out.size(); ++i) {
        if (!out[i]) continue;
        const std::vector<double> draws = normals(out[i].size(), index + i);
        for (std::int64_t k = 0; k < out[i].size(); ++k) set(out[i], k, draws[static_cast<std::size_t>(k)]);
    }
    return out;
}

void copy(const GuardedSet& from, GuardedSet& to, double factor, double other, const GuardedSet* add) {
    for (std::size_t i = 0; i < from.size(); ++i) {
        if (!from[i]) continue;
        for (std::int64_t k = 0; k < from[i].size(); ++k)
            set(to[i], k, factor * from[i].value(k) + (add == nullptr ? 0 : other * (*add)[i].value(k)));
    }
}

void add_products(const GuardedSet& a, const GuardedSet& b, Sum& sum) {
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (!a[i] || !b[i]) continue;
        for (std::int64_t k = 0; k < b[i].size(); ++k) sum.add(a[i].value(k) * b[i].value(k));
    }
}

void expect_near(const GuardedSet& got, const GuardedSet& want, const std::string& what) {
    for (std::size_t i = 0; i < got.size(); ++i) {
        if (!got[i] || !want[i] || got.in()[i] == nullptr) continue;
        double size = 0;
        for (std::int64_t k = 0; k < want[i].size(); ++k) size = std::max(size, std::abs(want[i].value(k)));
        for (std::int64_t k = 0; k < want[i].size(); ++k) {
            if (!(std::abs(got[i].value(k) - want[i].value(k)) <= 1e-9 * (size + 1)))
                throw Broken(fmt::format("{}: element {} of the {} is {:.12g}; expected {:.12g}",
                                         what,
                                         k,
                                         got.name(i),
                                         got[i].value(k),
                                         want[i].value(k)));
        }
    }
}

void check_slopes(const std::string& who,
                  const std::string& name,
                  GuardedSet& inputs,
                  const GuardedSet& gradient,
                  const std::function<Sum()>& phi,
                  Said& said) {
    std::vector<Slope> slopes;
    std::vector<std::string> names;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        if (!inputs[i] || gradient.in()[i] == nullptr) continue;
        slopes.push_back({&inputs[i], &gradient[i]});
        names.push_back(fmt::format("{} '{}'", name, inputs.name(i)));
    }
    if (slopes.empty()) return;
    try {
        const bool is_said = check_slopes(who + " by " + name, slopes, phi);
        if (is_said || slopes.size() == 1) return said.add(is_said ? name : names[0], is_said);
    } catch (const Broken&) {
        if (slopes.size() == 1) throw;
    }
    for (std::size_t i = 0; i < slopes.size(); ++i)
        said.add(names[i], check_slopes(who + " by " + names[i], {slopes[i]}, phi));
}

}  // namespace l2o::framework
