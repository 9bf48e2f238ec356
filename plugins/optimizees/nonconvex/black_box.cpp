#include <cmath>
#include <cstdint>
#include <l2o/numerics/random_rotation.hpp>
#include <l2o/numerics/random_rows.hpp>
#include <l2o/numerics/view.hpp>
#include <l2o/sdk/optimizee.hpp>
#include <string>

#include "test_functions.hpp"

namespace {

namespace functions = l2o::plugins::test_functions;
using functions::Facts, l2o::numerics::row_vector, l2o::numerics::RowMatrix, l2o::numerics::Stream;

// The variants are those of Hansen et al. 2009, "Real-parameter black-box optimization benchmarking 2009",
// section 0.2: z = R (x - x_opt) and the domain [-5, 5]^n; without its transformations T_osz and T_asy.
struct BlackBox {
    static constexpr l2o::About about{
        .id = "black_box",
        .version = "1.0.0",
        .title = "Standard test functions: shifted, rotated, in a box, values only",
        .doc =
            "f(x) = h(z) of a standard function h: sphere, ellipsoid, rosenbrock, ackley, griewank, "
            "schwefel, styblinski_tang, levy, rastrigin for any n; log_sum_exp, beale, booth, matyas, "
            "branin, michalewicz for n = 2; mix: one of the former for every instance. z = x; with "
            "half_width w the usual domain of h becomes [-w, w]^n (w = 5 for mix). shift: the minimum is "
            "moved to a point that is uniform in the inner 80 % of the domain; rotate: z is rotated about "
            "it. Starts are uniform in the domain, those of log_sum_exp N(0, I). bounds: x stays in the "
            "domain; schwefel and michalewicz, which have lower values outside, go on there as the value of "
            "the nearest point and a penalty. values_only: no gradients. gap is f - f_star, the minimum. "
            "styblinski_tang has 40 n added, schwefel what makes its minimum 0."};

    enum class Function {
        kMix,
        kSphere,
        kEllipsoid,
        kRosenbrock,
        kAckley,
        kGriewank,
        kSchwefel,
        kStyblinskiTang,
        kLevy,
        kRastrigin,
        kLogSumExp,
        kBeale,
        kBooth,
        kMatyas,
        kBranin,
        kMichalewicz
    };
    Function function = Function::kMix;
    std::int64_t n = 10;
    double half_width = 0;
    bool shift = false, rotate = false, bounds = false, values_only = false;

    static l2o::Options<BlackBox> options() {
        l2o::Options<BlackBox> options;
        options.integer("n", &BlackBox::n, "number of variables", l2o::at_least(1))
            .choice("function",
                    &BlackBox::function,
                    {"mix",
                     "sphere",
                     "ellipsoid",
                     "rosenbrock",
                     "ackley",
                     "griewank",
                     "schwefel",
                     "styblinski_tang",
                     "levy",
                     "rastrigin",
                     "log_sum_exp",
                     "beale",
                     "booth",
                     "matyas",
                     "branin",
                     "michalewicz"},
                    "which one; mix: drawn for every instance among those for any n")
            .flag("shift", &BlackBox::shift, "every instance has its minimum elsewhere")
            .flag("rotate", &BlackBox::rotate, "every instance is rotated about its minimum")
            .real("half_width",
                  &BlackBox::half_width,
                  "w > 0: x is scaled so that the domain is [-w, w]^n; 0: the usual domain, of mix w = 5",
                  l2o::kNonNegative)
            .flag("bounds", &BlackBox::bounds, "x stays in the domain")
            .flag("values_only", &BlackBox::values_only, "there are no gradients");
        return options;
    }

    void declare(l2o::OptimizeeSpec& spec) {
        check_n();
        if (function == Function::kMix && half_width == 0) half_width = kMixHalfWidth;
        l2o::TensorSpec block{.name = "x", .axes = "n", .shape = {n}};
        if (bounds) {
            block.flags = L2O_SPEC_BOUNDED;
            block.lower = lower_of(0);
            block.upper = block.lower + 2 * half_of();
            if (n > 1 && lower_of(1) != block.lower)
                l2o::invalid(std::string("the domain of '") + facts_of().name +
                             "' is another one in either variable; set half_width to have bounds");
        }
        spec.block(std::move(block));
        which_ = spec.data<std::int32_t>({.name = "function",
                                          .doc = "the number of the function in the order of the option, "
                                                 "from 1",
                                          .batched = true});
        if (shift || rotate)
            offset_ = spec.data<double>({.name = "offset",
                                         .doc = "z = R z0 + offset, z0 the point as the usual domain has it",
                                         .axes = "n",
                                         .shape = {n},
                                         .batched = true});
        if (rotate)
            rotation_ = spec.data<double>(
                {.name = "R", .doc = "rotation of z", .axes = "n,n", .shape = {n, n}, .batched = true});
        x_star_ = spec.solution(
            {.name = "x_star", .doc = "a minimiser", .axes = "n", .shape = {n}, .batched = true});
        f_star_ = spec.solution<double>(
            {.name = "f_star", .doc = "the minimum", .batched = true, .flags = L2O_SPEC_OPTIMUM});
        gap_ = spec.metric("gap", "f - f_star", L2O_SPEC_NEEDS_SOLUTION);
        if (values_only) spec.info.answers = L2O_ORACLE_VALUE;
        spec.scratch([this](l2o::Scratch& scratch, std::int64_t, auto) { Room(scratch, n); });
    }

    template <class T>
    void sample(const l2o::Draw& draw, const l2o::DataOut<T>& data) const {
        for (std::int64_t row = 0; row < draw.count; ++row) {
            const std::uint64_t instance = draw.first + std::uint64_t(row);
            const auto stream = [&](const auto& tensor) {
                return Stream(draw.call.key, instance, draw.purpose(tensor));
            };
            auto which = static_cast<std::int32_t>(function);
            if (function == Function::kMix)
                which = 1 + static_cast<std::int32_t>(stream(which_).below(functions::kScalable));
            data[which_][row] = which;
            const Facts& facts = facts_of_number(which);
            Eigen::VectorXd minimiser(n), moved(n);  // as the usual domain has them
            for (std::int64_t i = 0; i < n; ++i) moved[i] = minimiser[i] = facts.minimiser_of(i);
            if (shift) {
                Stream random = stream(offset_);
                for (std::int64_t i = 0; i < n; ++i)
                    moved[i] = facts.centre_of(i) + 0.8 * facts.half_width * (2 * random.uniform() - 1);
            }
            if (rotate) {
                Stream random = stream(rotation_);
                const Eigen::MatrixXd rotation = l2o::numerics::random_rotation(random, n);
                Eigen::Map<RowMatrix<double>>(data[rotation_].row(row), n, n) = rotation;
                row_vector(data[offset_].row(row), n) = (minimiser - rotation * moved).transpose();
            } else if (shift) {
                row_vector(data[offset_].row(row), n) = (minimiser - moved).transpose();
            }
            if (const auto to = data[x_star_])
                for (std::int64_t i = 0; i < n; ++i) to(row, i) = T(scaled_down(facts, i, moved[i]));
            if (const auto to = data[f_star_]) to[row] = facts.minimum_of(n);
        }
    }

    template <class T>
    void init_point(const l2o_call& call, const l2o::DataIn<T>& data, const l2o::Tensors<T>& x) const {
        for (std::int64_t row = 0; row < x[0].rows; ++row) {
            const Facts& facts = facts_of_number(data[which_][row]);
            Stream random(call.key, call.row0 + std::uint64_t(row), 0);
            for (std::int64_t i = 0; i < n; ++i) {
                const double start = function == Function::kLogSumExp
                                         ? random.normal()
                                         : facts.centre_of(i) + facts.half_width * (2 * random.uniform() - 1);
                x[0](row, i) = T(scaled_down(facts, i, start));
            }
        }
    }

    template <class T>
    void eval(const l2o::EvalIn<T>& in, const l2o::EvalOut<T>& out) const {
        l2o::Scratch scratch(in.call);
        const Room room(scratch, n);
        const l2o::View<T> f = out.f(), g = out.g(0);
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            const Facts& facts = facts_of_number(*in.row(which_, row));
            const double value = value_at(in, row, facts, room, bool(g));
            if (f) f[row] = T(value);
            if (!g) continue;
            const double scale = half_width > 0 ? facts.half_width / half_width : 1;
            auto slopes = row_vector(room.slopes, n);
            if (rotate) {
                auto turned = row_vector(room.point, n);
                turned.noalias() = slopes * rotation_at(in, row);
                slopes = turned;
            }
            row_vector(g.row(row), n) = (scale * slopes).template cast<T>();
        }
    }

    template <class T>
    void metrics(const l2o::EvalIn<T>& in, const l2o::MetricsOut<T>& out) const {
        if (!out[gap_]) return;
        l2o::Scratch scratch(in.call);
        const Room room(scratch, n);
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            const Facts& facts = facts_of_number(*in.row(which_, row));
            out[gap_][row] = T(value_at(in, row, facts, room, false) - in.row(f_star_, row)[0]);
        }
    }

  private:
    static constexpr double kMixHalfWidth = 5;

    /// Of one row at a time.
    struct Room {
        Room(l2o::Scratch& scratch, std::int64_t n)
            : point(scratch.take<double>(n)),
              z(scratch.take<double>(n)),
              slopes(scratch.take<double>(n)),
              outside(scratch.take<double>(n)) {}
        double *point, *z, *slopes, *outside;
    };

    [[nodiscard]] static const Facts& facts_of_number(std::int32_t number) {
        if (number < 1 || std::size_t(number) > functions::kAll.size())
            l2o::invalid("tensor 'function' has " + std::to_string(number) + "; expected 1 to " +
                         std::to_string(functions::kAll.size()) + ", the numbers of the functions");
        return functions::kAll[std::size_t(number) - 1];
    }
    /// Of the option; of a mix any: their domains are one.
    [[nodiscard]] const Facts& facts_of() const {
        return facts_of_number(std::max(1, static_cast<std::int32_t>(function)));
    }
    [[nodiscard]] double half_of() const { return half_width > 0 ? half_width : facts_of().half_width; }
    [[nodiscard]] double lower_of(std::int64_t i) const {
        return half_width > 0 ? -half_width : facts_of().centre_of(i) - facts_of().half_width;
    }

    void check_n() const {
        if (function == Function::kMix) {
            if (n < 2)
                l2o::invalid("function mix has functions of at least 2 variables, and n is 1; set n to more");
            return;
        }
        const Facts& facts = facts_of();
        if (facts.most_n > 0 && n != facts.most_n)
            l2o::invalid(std::string("'") + facts.name + "' is a function of " +
                         std::to_string(facts.most_n) + " variables, and n is " + std::to_string(n) +
                         "; set n to " + std::to_string(facts.most_n));
        if (n < facts.least_n)
            l2o::invalid(std::string("'") + facts.name + "' is a function of at least " +
                         std::to_string(facts.least_n) + " variables, and n is " + std::to_string(n));
    }

    [[nodiscard]] double scaled_down(const Facts& facts, std::int64_t i, double usual) const {
        return half_width > 0 ? half_width * (usual - facts.centre_of(i)) / facts.half_width : usual;
    }

    template <class T>
    [[nodiscard]] auto rotation_at(const l2o::EvalIn<T>& in, std::int64_t row) const {
        return Eigen::Map<const RowMatrix<double>>(in.row(rotation_, row), n, n);
    }

    template <class T>
    [[nodiscard]] double value_at(const l2o::EvalIn<T>& in,
                                  std::int64_t row,
                                  const Facts& facts,
                                  const Room& room,
                                  bool with_slopes) const {
        const T* x = in.x(0).row(row);
        for (std::int64_t i = 0; i < n; ++i)
            room.point[i] = half_width > 0 ? facts.centre_of(i) + facts.half_width / half_width * double(x[i])
                                           : double(x[i]);
        auto z = row_vector(room.z, n), point = row_vector(room.point, n);
        if (rotate)
            z.noalias() = point * rotation_at(in, row).transpose();
        else
            z = point;
        if (shift || rotate) z += row_vector(in.row(offset_, row), n);
        return functions::value(facts, room.z, n, with_slopes ? room.slopes : nullptr, room.outside);
    }

    l2o::DataOf<std::int32_t> which_;
    l2o::DataOf<double> offset_, rotation_, f_star_;
    l2o::Data x_star_;
    l2o::Metric gap_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizee<BlackBox>)
