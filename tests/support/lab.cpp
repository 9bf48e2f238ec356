#include "tests/support/lab.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <l2o/numerics/philox.hpp>
#include <stdexcept>

#include "framework/rollout/stepper.hpp"

namespace l2o::test {
namespace {

using namespace l2o::framework;

ResolvedOptions resolve(const Catalog::Entry& entry, const OptionText& options) {
    const OptionContext context{
        .origin = "test", .path = "options", .kind = name_of(entry.component.kind), .id = entry.component.id};
    return resolve_options(entry.component.options, settings_from(options, {.file = "test"}), context);
}

/// Independent N(0, 1) numbers; a new `index` gives new ones.
std::vector<double> normals(std::size_t n, std::uint64_t index) {
    numerics::Stream stream(Key{2718, 281828}, index);
    std::vector<double> out(n);
    for (double& value : out) value = stream.normal();
    return out;
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
}

/// Central differences of phi with respect to every element of a tensor.
template <class Phi>
std::vector<double> central_differences(Tensor& tensor, double difference, Phi&& phi) {
    std::vector<double> slope(static_cast<std::size_t>(tensor.size()));
    const auto element = tensor.values<double>();
    for (std::size_t i = 0; i < slope.size(); ++i) {
        const double kept = element[i], step = difference * std::max(1.0, std::abs(kept));
        element[i] = kept + step;
        const double above = phi();
        element[i] = kept - step;
        const double below = phi();
        element[i] = kept;
        slope[i] = (above - below) / (2 * step);
    }
    return slope;
}

std::vector<Tensor> zeros_like(const std::vector<Tensor>& tensors) {
    std::vector<Tensor> out;
    for (const Tensor& tensor : tensors) out.emplace_back(tensor.dtype(), tensor.shape());
    return out;
}

}  // namespace

const Catalog& catalog() {
    static const Catalog built(plugin_search_path());
    return built;
}

std::vector<double> values(const Tensor& tensor) {
    std::vector<double> out(static_cast<std::size_t>(tensor.size()));
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = tensor.value(static_cast<std::int64_t>(i));
    return out;
}

void set_values(Tensor& tensor, const std::vector<double>& numbers) {
    if (numbers.size() != static_cast<std::size_t>(tensor.size()))
        throw std::invalid_argument("set_values: size");
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        if (tensor.dtype() == Dtype::kF32) {
            tensor.values<float>()[i] = static_cast<float>(numbers[i]);
        } else {
            tensor.values<double>()[i] = numbers[i];
        }
    }
}

double relative_error(const std::vector<double>& got, const std::vector<double>& want) {
    if (got.size() != want.size()) return INFINITY;
    double difference = 0, norm = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
        difference += (got[i] - want[i]) * (got[i] - want[i]);
        norm += want[i] * want[i];
    }
    // Larger than any tolerance: the maximum of a number and NaN may be either.
    if (!std::isfinite(difference)) return INFINITY;
    return norm > 0 ? std::sqrt(difference / norm) : std::sqrt(difference);
}

// ---- ProblemLab
// -------------------------------------------------------------------------------------------------

ProblemLab::ProblemLab(const Setup& setup) {
    const Catalog::Entry& entry = catalog().find(Kind::kOptimizee, setup.optimizee);
    optimizee_ = std::make_shared<const Optimizee>(entry, resolve(entry, setup.options), setup.dtype);
    data_ = optimizee_->sample({setup.seed, 1}, Split::kTrain, 0, setup.instances, true);
    x_ = optimizee_->init_point({setup.seed, 2}, 0, data_);
}

Tensor& ProblemLab::data(const std::string& name) {
    return data_.tensors.at(optimizee_->data_index(name).value());
}

namespace {

/// Calls one function of the optimizee at x.
template <class Call>
void evaluate(const Optimizee& optimizee,
              const ProblemData& data,
              const std::vector<Tensor>& x,
              Call&& call) {
    const auto in = abi_data(data);
    std::vector<const l2o_tensor*> blocks;
    for (const Tensor& tensor : x) blocks.push_back(tensor.abi());
    l2o_points points{};
    points.batch = static_cast<std::uint32_t>(data.instances);
    points.rows_per_instance = 1;
    points.data = in.data();
    points.x = blocks.data();
    CallContext context;
    context.reserve_scratch(CallContext::scratch_of(optimizee.info(), data.instances, optimizee.id()));
    context.check(call(context.plain(), points), optimizee.id());
}

std::vector<std::vector<double>> all_values(const std::vector<Tensor>& tensors) {
    std::vector<std::vector<double>> out;
    for (const Tensor& tensor : tensors) out.push_back(values(tensor));
    return out;
}

}  // namespace

std::vector<double> ProblemLab::objective() {
    Tensor f(optimizee_->dtype(), {data_.instances});
    evaluate(*optimizee_, data_, x_, [&](l2o_call* call, const l2o_points& points) {
        const l2o_eval_out out{.f = f.abi(), .g = nullptr};
        return optimizee_->api().eval(optimizee_->raw(), call, &points, &out);
    });
    return values(f);
}

std::vector<std::vector<double>> ProblemLab::gradient() {
    TensorSet g(zeros_like(x_));
    evaluate(*optimizee_, data_, x_, [&](l2o_call* call, const l2o_points& points) {
        const l2o_eval_out out{.f = nullptr, .g = g.out()};
        return optimizee_->api().eval(optimizee_->raw(), call, &points, &out);
    });
    return all_values(g.tensors());
}

std::vector<std::vector<double>> ProblemLab::hvp(const std::vector<std::vector<double>>& v) {
    TensorSet product(zeros_like(x_)), direction(zeros_like(x_));
    for (std::size_t k = 0; k < v.size(); ++k) set_values(direction[k], v[k]);
    evaluate(*optimizee_, data_, x_, [&](l2o_call* call, const l2o_points& points) {
        return optimizee_->api().hvp(optimizee_->raw(), call, &points, direction.in(), product.out());
    });
    return all_values(product.tensors());
}

std::vector<std::vector<double>> ProblemLab::prox(double tau) {
    TensorSet u(zeros_like(x_));
    Tensor steps(optimizee_->dtype(), {data_.instances});
    set_values(steps, std::vector<double>(static_cast<std::size_t>(data_.instances), tau));
    evaluate(*optimizee_, data_, x_, [&](l2o_call* call, const l2o_points& points) {
        return optimizee_->api().prox(optimizee_->raw(), call, &points, steps.abi(), u.out());
    });
    return all_values(u.tensors());
}

std::vector<double> ProblemLab::metric(const std::string& name) {
    std::vector<Tensor> tensors;
    std::size_t index = optimizee_->metrics().size();
    for (std::size_t i = 0; i < optimizee_->metrics().size(); ++i) {
        if (optimizee_->metrics()[i]->name == name) index = i;
        tensors.emplace_back(optimizee_->dtype(), shape_of(*optimizee_->metrics()[i], data_.instances));
    }
    if (index == tensors.size()) throw std::invalid_argument("no metric '" + name + "'");
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        if (i != index) tensors[i] = Tensor();
    }
    const TensorSet out(std::move(tensors));
    evaluate(*optimizee_, data_, x_, [&](l2o_call* call, const l2o_points& points) {
        return optimizee_->api().metrics(optimizee_->raw(), call, &points, out.out());
    });
    return values(out[index]);
}

double ProblemLab::gradient_error(double spread) {
    std::uint64_t index = 1000;
    for (Tensor& tensor : x_) {
        const auto noise = normals(static_cast<std::size_t>(tensor.size()), index++);
        for (std::size_t i = 0; i < noise.size(); ++i) tensor.values<double>()[i] += spread * noise[i];
    }
    const auto got = gradient();
    double worst = 0;
    for (std::size_t k = 0; k < x_.size(); ++k) {
        const auto want = central_differences(x_[k], 1e-5, [&] {
            double sum = 0;
            for (const double f : objective()) sum += f;
            return sum;
        });
        worst = std::max(worst, relative_error(got[k], want));
    }
    return worst;
}

double ProblemLab::hvp_error(double spread) {
    std::vector<std::vector<double>> v;
    std::uint64_t index = 2000;
    for (Tensor& tensor : x_) {
        const auto noise = normals(static_cast<std::size_t>(tensor.size()), index++);
        for (std::size_t i = 0; i < noise.size(); ++i) tensor.values<double>()[i] += spread * noise[i];
        v.push_back(normals(noise.size(), index++));
    }
    const auto got = hvp(v);
    const auto moved = [&](double step) {
        for (std::size_t k = 0; k < x_.size(); ++k) {
            for (std::size_t i = 0; i < v[k].size(); ++i) x_[k].values<double>()[i] += step * v[k][i];
        }
    };
    constexpr double kStep = 1e-5;
    moved(kStep);
    const auto above = gradient();
    moved(-2 * kStep);
    const auto below = gradient();
    moved(kStep);
    double worst = 0;
    for (std::size_t k = 0; k < x_.size(); ++k) {
        std::vector<double> want(v[k].size());
        for (std::size_t i = 0; i < want.size(); ++i) want[i] = (above[k][i] - below[k][i]) / (2 * kStep);
        worst = std::max(worst, relative_error(got[k], want));
    }
    return worst;
}

// ---- Lab
// --------------------------------------------------------------------------------------------------------

Lab::Lab(const Setup& setup) : problem_(setup.problem) {
    const Catalog::Entry& entry = catalog().find(Kind::kOptimizer, setup.optimizer);
    optimizer_ = std::make_shared<const Optimizer>(
        entry, resolve(entry, setup.options), task_of(problem_.optimizee(), setup.horizon));
    params_ = optimizer_->init_params({setup.problem.seed, 3}, problem_.data());
}

Tensor& Lab::param(const std::string& name) {
    for (std::size_t i = 0; i < params_.size(); ++i) {
        if (optimizer_->params()[i]->name == name) return params_[i];
    }
    throw std::invalid_argument("no parameter '" + name + "'");
}

namespace {

/// Points from start points: particle 0 of a population gets the start, the others start there too.
void set_start(Point& point, const PointLayout& layout, const std::vector<Tensor>& x0) {
    const std::int64_t particles = std::max<std::int64_t>(layout.particles, 1);
    for (std::size_t k = 0; k < x0.size(); ++k) {
        const std::vector<double> start = values(x0[k]);
        const std::size_t cols = start.size() / static_cast<std::size_t>(layout.batch);
        std::vector<double> all;
        for (std::size_t b = 0; b < static_cast<std::size_t>(layout.batch); ++b) {
            for (std::int64_t p = 0; p < particles; ++p) {
                all.insert(all.end(),
                           start.begin() + static_cast<std::ptrdiff_t>(b * cols),
                           start.begin() + static_cast<std::ptrdiff_t>((b + 1) * cols));
            }
        }
        set_values(point.x[k], all);
    }
}

TensorSet borrowed(std::vector<Tensor>& tensors) {
    std::vector<Tensor> out;
    for (Tensor& tensor : tensors)
        out.push_back(Tensor::borrow(tensor.dtype(), tensor.shape(), tensor.data()));
    return TensorSet(std::move(out));
}

}  // namespace

Lab::Run Lab::run(std::int64_t steps) {
    const TensorSet params = borrowed(params_);
    const Scene scene{*optimizer_, problem_.optimizee(), problem_.data(), params, {77, 7}};
    Stepper stepper(scene);
    const PointParts parts{.g = true, .f = true, .state = true};
    Point from(stepper.layout(), parts), to(stepper.layout(), parts);
    set_start(from, stepper.layout(), problem_.x());
    stepper.init_state(from);
    Run run;
    for (std::int64_t t = 0; t <= steps; ++t) {
        // Looked at through a point of its own: what the optimizer reads is still charged to it.
        Point seen(stepper.layout(), {.g = false, .f = true, .state = false});
        seen.x.copy_from(from.x);
        stepper.evaluate(seen, t, true, false, kFree);
        run.f.push_back(values(seen.f));
        std::vector<double> x;
        for (const Tensor& block : from.x.tensors()) {
            const auto block_values = values(block);
            x.insert(x.end(), block_values.begin(), block_values.end());
        }
        run.x.push_back(std::move(x));
        if (t == steps) break;
        stepper.advance(from, to, t);
        std::swap(from, to);
    }
    run.value_evaluations = static_cast<std::int64_t>(stepper.evaluations().front().values);
    run.gradient_evaluations = static_cast<std::int64_t>(stepper.evaluations().front().gradients);
    return run;
}

double Lab::step_vjp_error(std::int64_t warm_up, double difference) {
    const TensorSet params = borrowed(params_);
    const Scene scene{*optimizer_, problem_.optimizee(), problem_.data(), params, {77, 7}};
    Stepper stepper(scene);
    const PointParts parts{.g = true, .f = true, .state = true};
    Point from(stepper.layout(), parts), to(stepper.layout(), parts);
    set_start(from, stepper.layout(), problem_.x());
    stepper.init_state(from);
    for (std::int64_t t = 0; t < warm_up; ++t) {
        stepper.advance(from, to, t);
        std::swap(from, to);
    }
    stepper.evaluate(from, warm_up, true, true, kFree);
    std::vector<Stepper::Round> rounds;
    stepper.replay(from, to, warm_up, rounds);

    double worst = 0;
    for (std::size_t r = 0; r < rounds.size(); ++r) {
        l2o_step_in in = stepper.step_in(from, warm_up, r > 0 ? &rounds[r] : nullptr);
        in.round = static_cast<std::uint32_t>(r);
        // Outputs, and a random linear function of them.
        const bool asks = optimizer_->info().max_questions > 0, is_final = r + 1 == rounds.size();
        std::vector<Tensor> q = asks ? zeros_like(rounds.back().q.tensors()) : std::vector<Tensor>();
        TensorSet questions(std::move(q));
        Point out(stepper.layout(), {.g = false, .f = false, .state = true}),
            cot = Point(stepper.layout(), {});
        Shape of_questions = stepper.layout().f;
        of_questions.insert(of_questions.begin(),
                            std::max<std::int64_t>(1, optimizer_->info().max_questions));
        Tensor wanted(Dtype::kI32, of_questions), x_is(Dtype::kI32, stepper.layout().f);
        TensorSet question_cot(asks ? zeros_like(questions.tensors()) : std::vector<Tensor>());
        std::vector<std::pair<Tensor*, Tensor*>> outputs;
        for (std::size_t i = 0; i < out.state.size(); ++i) outputs.emplace_back(&out.state[i], &cot.state[i]);
        for (std::size_t k = 0; k < out.x.size() && is_final; ++k) outputs.emplace_back(&out.x[k], &cot.x[k]);
        for (std::size_t k = 0; k < questions.size() && !is_final; ++k) {
            outputs.emplace_back(&questions[k], &question_cot[k]);
        }
        std::uint64_t index = 3000;
        for (auto& [tensor, direction] : outputs) {
            set_values(*direction, normals(static_cast<std::size_t>(tensor->size()), index++));
        }
        const auto phi = [&] {
            l2o_step_out step_out{};
            step_out.state = out.state.out();
            step_out.x = out.x.out();
            step_out.q = asks ? questions.out() : nullptr;
            wanted.zero();
            step_out.q_wanted = asks ? wanted.abi() : nullptr;
            std::ranges::fill(x_is.values<std::int32_t>(), L2O_X_IS_NEW);
            step_out.x_is = x_is.abi();
            stepper.call().check(
                optimizer_->api().step(optimizer_->raw(), stepper.step_call(warm_up), &in, &step_out),
                optimizer_->id());
            double sum = 0;
            for (auto& [tensor, direction] : outputs) sum += dot(values(*tensor), values(*direction));
            return sum;
        };

        // Inputs and accumulators, which will start from ones: a vjp must add.
        std::vector<std::pair<Tensor*, Tensor>> inputs;
        const auto input = [&](Tensor& tensor) {
            inputs.emplace_back(&tensor, Tensor(tensor.dtype(), tensor.shape()));
            return inputs.back().second.abi();
        };
        std::vector<l2o_tensor*> param_acc, state_acc, x_acc, g_acc, q_acc, qg_acc;
        const std::vector<const l2o_tensor*> none(64, nullptr);
        for (std::size_t i = 0; i < params_.size(); ++i) {
            const bool is_learned = !has(*optimizer_->params()[i], L2O_SPEC_DERIVED);
            param_acc.push_back(is_learned ? input(params_[i]) : nullptr);
        }
        TensorSet& state = r > 0 ? rounds[r].state : from.state;
        for (Tensor& tensor : state.tensors()) state_acc.push_back(input(tensor));
        for (Tensor& tensor : from.x.tensors()) x_acc.push_back(input(tensor));
        for (Tensor& tensor : from.g.tensors())
            g_acc.push_back(optimizer_->reads_g() ? input(tensor) : nullptr);
        l2o_step_acc acc{};
        acc.params = param_acc.data();
        acc.state = state_acc.data();
        acc.x = x_acc.data();
        acc.g = g_acc.data();
        acc.f = optimizer_->reads_f() ? input(from.f) : nullptr;
        if (r > 0) {
            for (Tensor& tensor : rounds[r].q.tensors()) q_acc.push_back(input(tensor));
            for (Tensor& tensor : rounds[r].qg.tensors()) qg_acc.push_back(input(tensor));
            acc.q = q_acc.data();
            acc.qg = qg_acc.data();
            if ((optimizer_->info().question_kinds & L2O_ORACLE_VALUE) != 0) acc.qf = input(rounds[r].qf);
        }
        const l2o_step_cot out_cot{.state = cot.state.in(),
                                   .x = is_final ? cot.x.in() : none.data(),
                                   .q = is_final ? none.data() : question_cot.in()};
        std::vector<std::vector<double>> want;
        for (auto& [tensor, accumulator] : inputs)
            want.push_back(central_differences(*tensor, difference, phi));
        // Without what the step wrote, and with it.
        l2o_step_out written{};
        for (const l2o_step_out* given :
             {static_cast<const l2o_step_out*>(nullptr), static_cast<const l2o_step_out*>(&written)}) {
            if (given != nullptr) {
                if (asks) break;
                static_cast<void>(phi());
                written.state = out.state.out();
                written.x = out.x.out();
            }
            for (auto& [tensor, accumulator] : inputs)
                set_values(accumulator, std::vector<double>(static_cast<std::size_t>(tensor->size()), 1.0));
            stepper.call().check(
                optimizer_->vjp()->step_vjp(
                    optimizer_->raw(), stepper.step_call(warm_up), &in, given, &out_cot, &acc),
                optimizer_->id());
            for (std::size_t i = 0; i < inputs.size(); ++i) {
                std::vector<double> got = values(inputs[i].second);
                for (double& value : got) value -= 1;
                worst = std::max(worst, relative_error(got, want[i]));
            }
        }
    }
    return worst;
}

}  // namespace l2o::test
