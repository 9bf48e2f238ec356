#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <l2o/sdk/optimizer.hpp>
#include <l2o/sdk/planned_steps.hpp>
#include <numbers>
#include <string>

namespace l2o {

/// What methods with a learning rate share: how it depends on the step t = 0, 1, ... With T the planned
/// number of steps and w = warm_up T it rises as (t + 1) / w, stays until decay_from T, and falls from 1 to
/// final_rate until decay_until T, along a line, an exponential or half a cosine (Loshchilov & Hutter 2017,
/// "SGDR: stochastic gradient descent with warm restarts", equation 5, without restarts; warm-up: Goyal et
/// al. 2017, "Accurate, large minibatch SGD", section 2.2).
class Schedule {
  public:
    enum class Form { kConstant, kLinear, kCosine, kExponential };
    Form schedule = Form::kConstant;
    double warm_up = 0, decay_from = 0, decay_until = 1, final_rate = 0;
    std::int64_t schedule_steps = 0;

    template <class Method>
    static Options<Method>& add_schedule(Options<Method>& options) {
        return options
            .choice("schedule",
                    static_cast<Form Method::*>(&Method::schedule),
                    {"constant", "linear", "cosine", "exponential"},
                    "how the learning rate falls behind its warm-up")
            .real("warm_up", &Method::warm_up, "share of the steps in which it rises", kFraction)
            .real("decay_from",
                  &Method::decay_from,
                  "share of the steps before which it does not fall",
                  kFraction)
            .real("decay_until",
                  &Method::decay_until,
                  "share of the steps after which it is at its end",
                  Range{0, 1, true, false})
            .real("final_rate", &Method::final_rate, "that end, as a share of learning_rate", between(0, 1))
            .integer("schedule_steps",
                     &Method::schedule_steps,
                     "the number of steps that shares are of; 0: what horizon and budget leave",
                     at_least(0));
    }

    /// Once the options are known.   @throw Failure if nobody says how many steps there will be
    void plan(const OptimizerSpec& spec) {
        check_before_end("decay_from", decay_from);
        if (!varies()) return;
        steps_ = planned_steps(spec, schedule_steps, "schedule_steps");
        if (schedule == Form::kConstant) return;
        check_before_end("warm_up", warm_up);
        if (schedule == Form::kExponential && final_rate == 0)
            invalid("final_rate is 0, where no exponential ends; expected a share above 0");
    }
    [[nodiscard]] bool varies() const { return schedule != Form::kConstant || warm_up > 0; }
    /// What learning_rate is multiplied by in step t.
    [[nodiscard]] double rate_at(std::int64_t t) const {
        const double up = warm_up * steps_, at = double(t);
        if (at < up) return std::min(1.0, (at + 1) / up);
        if (schedule == Form::kConstant) return 1;
        const double from = std::max(up, decay_from * steps_),
                     part = std::clamp((at - from) / (decay_until * steps_ - from), 0.0, 1.0);
        if (schedule == Form::kExponential) return std::pow(final_rate, part);
        const double left =
            schedule == Form::kLinear ? 1 - part : (1 + std::cos(std::numbers::pi * part)) / 2;
        return final_rate + (1 - final_rate) * left;
    }

  private:
    void check_before_end(const std::string& name, double share) const {
        if (share >= decay_until)
            invalid(name + " is " + std::to_string(share) + ", and decay_until " +
                    std::to_string(decay_until) + "; expected it to be less");
    }

    double steps_ = 0;
};

}  // namespace l2o
