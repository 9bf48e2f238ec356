#include "tests/framework/evaluate/arena.hpp"

#include "framework/experiment/contestants.hpp"
#include "tests/framework/config/refusal.hpp"

namespace l2o::test {

using namespace l2o::framework;

Arena::Arena(const Setup& setup)
    : experiment_(read_experiment(
          catalog(),
          Config::parse("dtype float64\n" + setup.problem + "train { horizon 3 }\n" + "contestants { it { " +
                            setup.contestant + " } }\nevaluate { " + setup.evaluate + " }\n",
                        "run.info"))),
      contestant_(experiment_.contestants[0]),
      lab_({.optimizee = experiment_.optimizee.id(),
            .options = experiment_.optimizee.resolve().canonical(),
            .instances = setup.instances}),
      optimizer_(contestant_.optimizer.entry, contestant_.optimizer.resolve(), task()),
      params_(optimizer_.init_params({1, 2}, lab_.data())) {
    if (contestant_.continue_with) {
        continue_with_.emplace(
            contestant_.continue_with->entry, contestant_.continue_with->resolve(), task());
        continue_params_ = TensorSet(continue_with_->init_params({1, 2}, lab_.data()));
    }
    if (contestant_.safeguard) {
        classic_.emplace(
            contestant_.safeguard->classic.entry, contestant_.safeguard->classic.resolve(), task());
        classic_params_ = TensorSet(classic_->init_params({1, 2}, lab_.data()));
    }
    if (!setup.with_solutions) {
        for (std::size_t i = 0; i < lab_.optimizee().data().size(); ++i) {
            if (has(*lab_.optimizee().data()[i], L2O_SPEC_SOLUTION)) lab_.data().tensors[i] = Tensor();
        }
    }
}

Curve Arena::run(int threads, const ProgressSink& progress) {
    Ready ready{.name = contestant_.name,
                .place = contestant_.place(),
                .optimizer = &optimizer_,
                .params = &params_,
                .continue_with = continue_with_ ? &*continue_with_ : nullptr,
                .continue_params = &continue_params_,
                .training_seconds = 7};
    if (classic_) ready.safeguard.emplace(Safeguard{*classic_, classic_params_, contestant_.safeguard->rule});
    return evaluate(experiment_.evaluate,
                    keys_of(experiment_.seed),
                    lab_.optimizee(),
                    lab_.data(),
                    lab_.x(),
                    ready,
                    threads,
                    progress);
}

std::string Arena::refused() {
    return refusal([&] { (void)run(); });
}

Task Arena::task() { return task_of(lab_.optimizee(), experiment_.evaluate.iterations); }

std::vector<double> medians(const Curve& curve, std::size_t metric) {
    std::vector<double> out;
    for (const Distribution& d : curve.distributions[metric]) out.push_back(d.median);
    return out;
}

}  // namespace l2o::test
