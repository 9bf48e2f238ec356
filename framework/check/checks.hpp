#pragma once

#include <string>
#include <vector>

#include "framework/check/bench.hpp"

namespace l2o::framework {

/// One check of one rule. `run` returns a word about what was checked ("on lasso"), or nothing; it throws
/// Broken or NotApplicable. It runs in a process of its own.
struct Check {
    const char* name;
    const char* rule;
    std::string (*run)(const Subject&);
};

inline constexpr const char* kCreatesRule = "create succeeds with the given options";

/// The checks that a component of a kind has to pass, in the order of the report.
[[nodiscard]] std::vector<Check> checks_of(Kind kind);

// description_checks.cpp
std::string check_schema(const Subject& subject);
std::string check_creates(const Subject& subject);
std::string check_specs(const Subject& subject);
std::string check_extensions(const Subject& subject);

// call_checks.cpp
std::string check_outputs(const Subject& subject);
std::string check_bounds(const Subject& subject);
std::string check_inputs(const Subject& subject);
std::string check_deterministic(const Subject& subject);
std::string check_row_invariant(const Subject& subject);
std::string check_batch(const Subject& subject);
std::string check_key(const Subject& subject);
std::string check_float32(const Subject& subject);
std::string check_threads(const Subject& subject);
std::string check_environment(const Subject& subject);
std::string check_leaves(const Subject& subject);
std::string check_struct_size(const Subject& subject);
std::string check_reads(const Subject& subject);

// optimizer_checks.cpp
std::string check_coordinatewise(const Subject& subject);
std::string check_resume(const Subject& subject);
std::string check_questions(const Subject& subject);
std::string check_rows(const Subject& subject);
std::string check_second_block(const Subject& subject);
std::string check_params(const Subject& subject);
std::string check_finite_step(const Subject& subject);
std::string check_box(const Subject& subject);
std::string check_layers(const Subject& subject);

// vjp_checks.cpp
std::string check_optimizer_vjp(const Subject& subject);
std::string check_optimizer_vjp_sums(const Subject& subject);
std::string check_loss_vjp(const Subject& subject);
std::string check_loss_vjp_sums(const Subject& subject);
std::string check_additive(const Subject& subject);

// instance_checks.cpp
std::string check_sample(const Subject& subject);
std::string check_unwanted(const Subject& subject);
std::string check_splits(const Subject& subject);
std::string check_starts(const Subject& subject);

// oracle_checks.cpp
std::string check_finite_start(const Subject& subject);
std::string check_parts(const Subject& subject);
std::string check_particles(const Subject& subject);
std::string check_gradient(const Subject& subject);
std::string check_hvp(const Subject& subject);
std::string check_prox(const Subject& subject);
std::string check_optimum(const Subject& subject);

}  // namespace l2o::framework
