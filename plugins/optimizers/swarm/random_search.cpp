#include <cstdint>
#include <l2o/numerics/philox.hpp>
#include <l2o/sdk/coordinates.hpp>
#include <l2o/sdk/optimizer.hpp>

#include "incumbent.hpp"

namespace {

// Rastrigin 1963, "The convergence of the random search method in the extremal control of a many parameter
// system", for `around best`; Brooks 1958, "A discussion of random methods for seeking maxima", for the
// other.
struct RandomSearch {
    static constexpr l2o::About about{.id = "random_search",
                                      .version = "1.0.0",
                                      .title = "Random search",
                                      .doc =
                                          "A step evaluates one point; x is the best so far, and the start "
                                          "is not evaluated. around start: a "
                                          "point anywhere in the box, without one N(x_0, sigma^2); around "
                                          "best: N(x, sigma^2), mirrored by the "
                                          "box. Brooks 1958; Rastrigin 1963."};

    enum class Around { kStart, kBest };
    Around around = Around::kStart;
    double sigma = 1;

    static l2o::Options<RandomSearch> options() {
        l2o::Options<RandomSearch> options;
        options.choice("around", &RandomSearch::around, {"start", "best"}, "where points are drawn")
            .real("sigma",
                  &RandomSearch::sigma,
                  "standard deviation, in units of the range of a coordinate in its box, without one of 1",
                  l2o::kPositive);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        spec.minimises().keeps_bounds().asks(1, L2O_ORACLE_VALUE).flag(L2O_FLAG_STOCHASTIC);
        at_ = l2o::Coordinates(spec);
        origin_ = spec.state<double>(
            {.name = "origin", .doc = "x_0, in units of the ranges", .shape = {at_.size()}, .batched = true});
        best_.bind(spec);
        spec.scratch([this](l2o::Scratch& scratch, std::int64_t, auto) { scratch.take<double>(at_.size()); });
    }

    template <class T>
    void init_state(const l2o::StepIn<T>& in, const l2o::StatesOut<T>& state) const {
        best_.start(state);
        for (std::int64_t row = 0; row < in.batch(); ++row)
            at_.read(
                row, [&](std::size_t k) { return in.x(k); }, state[origin_].row(row));
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        out.keep(in);
        double* point = l2o::Scratch(in.call).take<double>(at_.size());
        for (std::int64_t row = 0; row < in.batch(); ++row) {
            if (in.round() > 0) {
                best_.take(in, out, row);
                continue;
            }
            l2o::numerics::Stream random(in.call.key, in.call.row0 + std::uint64_t(row));
            if (around == Around::kBest) {
                at_.read(
                    row, [&](std::size_t k) { return in.x(k); }, point);
                for (std::int64_t i = 0; i < at_.size(); ++i) point[i] += sigma * random.normal();
            } else {
                for (std::int64_t i = 0; i < at_.size(); ++i)
                    point[i] = at_.draw(i, in.state(origin_)(row, i), sigma, random);
            }
            at_.write(row, point, [&](std::size_t k) { return out.q(k, 0); });
            out.ask(row, 0, L2O_ORACLE_VALUE);
        }
    }

  private:
    l2o::Coordinates at_;
    l2o::StateOf<double> origin_;
    l2o::plugins::Incumbent best_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<RandomSearch>)
