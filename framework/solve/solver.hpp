#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "framework/tensor/tensor.hpp"

namespace l2o::framework {

/// What a Solver is made of. Two files are enough: a trained optimizer and a problem.
struct SolverSettings {
    /// As for `l2o solve`: its tensors that all instances share (A) are those of every solve, and its
    /// precision is that of the computation; of the others (b) the first instances are the inputs at first.
    std::filesystem::path problem{};
    /// What `l2o train` wrote, with the optimizer's id and options in it; "" : a classic `optimizer`.
    std::filesystem::path weights{};
    std::string optimizer{};  ///< id; "" : that of the weights
    /// Of the optimizer, by name; stronger than those of the weights.
    std::map<std::string, std::string> options{};
    /// Id of the classic optimizer whose step replaces one that fails ("ista"); "" : none. See SafeguardRule.
    std::string safeguard{};
    std::map<std::string, std::string> safeguard_options{};  ///< of the rule and of that optimizer
    std::int64_t iterations = 0;                             ///< 0: as many as layers, or 100
    std::string
        continue_with{};  ///< id of a classic optimizer for the iterations behind the last layer; "" : none
    /// Of an instance, which then stays where it is, f at its end among them, whether objective() is asked
    /// for or not, as for `l2o solve`: the same budget ends in the same x. 0: no limit.
    std::int64_t max_evaluations = 0;
    /// Starts that share iterations and max_evaluations, one after the other: the first is start(), the
    /// others are the problem's own, and the best point that is paid for is the solution.
    std::int64_t restarts = 1;
    std::int64_t batch = 1;                               ///< instances of a solve
    std::vector<std::filesystem::path> plugin_folders{};  ///< searched before those of plugin_search_path()
    std::uint64_t seed = 0;                               ///< of start points and of the optimizer's draws
};

/// Solves instances of one problem, again and again, with a trained optimizer:
///
///     Solver solver({.problem = "problem.safetensors", .weights = "alista.safetensors", .safeguard =
///     "ista"}); for (;;) {
///         std::ranges::copy(measured(), solver.input("b").values<float>().begin());
///         use(solver.solve().values<float>());
///     }
///
/// The constructor reads files, loads plugins and derives what follows from the problem; solve() computes,
/// and allocates nothing but restarts. Both compute as kStandardFloat says, whatever the calling thread has
/// set. [one thread; for more see another()]
class Solver {
  public:
    /// @throw Error  kIo, kUsage, kPlugin: a file, a setting or a plugin, by name, and what was expected.
    explicit Solver(const SolverSettings& settings);
    Solver(Solver&&) noexcept;
    Solver& operator=(Solver&&) noexcept;
    ~Solver();

    /// For another thread: shares plugins, parameters and the problem's shared data with *this, no matter
    /// which of them lives longer.
    [[nodiscard]] Solver another() const;

    /// Data of the instances to solve, [batch, ...], by name; keeps what was written to it.
    /// @throw Error kUsage if instances have no such data.
    [[nodiscard]] Tensor& input(const std::string& name);
    /// Where solves start, [batch, ...]; the file's x0, or else the problem's own start.
    [[nodiscard]] Tensor& start(std::size_t block = 0);

    /// From start() to solution(): `iterations` steps.
    /// @return solution().
    /// @throw Error kNumerical if a plugin gives up (a safeguarded one is replaced instead); kUsage if
    /// start() is
    ///        not 0 for an optimizer that is defined from there only.
    const Tensor& solve();

    /// x at the end of the last solve, [batch, ...], of a population and of restarts the best point
    /// evaluated; an entry that is not finite belongs to a row that diverged. @throw Error kUsage before the
    /// first solve.
    [[nodiscard]] const Tensor& solution(std::size_t block = 0) const;
    /// f there, [batch]; computed when asked for, with one evaluation. @throw Error kUsage before the first
    /// solve.
    [[nodiscard]] const Tensor& objective();
    /// Share of the last solve's safeguarded steps that were classic ones; 0 without a safeguard.
    [[nodiscard]] double fallback_rate() const;

    [[nodiscard]] const std::string& optimizer() const;  ///< id
    [[nodiscard]] const std::string& problem() const;    ///< id of the optimizee
    [[nodiscard]] std::int64_t iterations() const;
    /// What whoever uses these weights should know, a sentence each: they were learned for another problem (a
    /// matrix A of other values), with other builds of the plugins, or have changed since; their training
    /// diverged, or gained nothing. Empty: nothing.
    [[nodiscard]] const std::vector<std::string>& notes() const;

  private:
    struct Model;
    struct State;
    explicit Solver(std::shared_ptr<const Model> model);

    std::shared_ptr<const Model> model_;
    std::unique_ptr<State> state_;
};

}  // namespace l2o::framework
