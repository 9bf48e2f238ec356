#pragma once

#include <l2o/abi/optimizee.h>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "framework/config/options.hpp"
#include "framework/plugin/call.hpp"
#include "framework/plugin/catalog.hpp"
#include "framework/plugin/specs.hpp"
#include "framework/tensor/tensor.hpp"

namespace l2o::framework {

enum class Split : std::int32_t {
    kTrain = L2O_SPLIT_TRAIN,
    kValidation = L2O_SPLIT_VALIDATION,
    kTest = L2O_SPLIT_TEST
};

/// The data tensors of some instances, in the order of the optimizee's data specs; an empty Tensor is absent.
struct ProblemData {
    std::int64_t instances = 0;
    std::vector<Tensor> tensors;
};

/// An instance of an optimizee plugin; immutable, shared by threads.
class Optimizee {
  public:
    /// Throws Error with the plugin's own text if it refuses its options.
    Optimizee(const Catalog::Entry& entry, ResolvedOptions options, Dtype dtype);
    /// Another instance that stands for `like`: it has its name, and functions and blocks of its own.
    /// @param instance  taken over.
    Optimizee(const Optimizee& like, const l2o_optimizee_api& api, l2o_optimizee* instance);
    Optimizee(const Optimizee&) = delete;
    Optimizee& operator=(const Optimizee&) = delete;
    ~Optimizee() = default;

    [[nodiscard]] const std::string& id() const { return id_; }
    [[nodiscard]] const Catalog::Entry& entry() const { return entry_; }
    [[nodiscard]] const ResolvedOptions& options() const { return options_; }
    [[nodiscard]] Dtype dtype() const { return dtype_; }
    [[nodiscard]] const l2o_optimizee_api& api() const { return api_; }
    [[nodiscard]] const l2o_optimizee* raw() const { return instance_.get(); }
    [[nodiscard]] const l2o_optimizee_info& info() const { return info_; }
    [[nodiscard]] const std::vector<const l2o_spec*>& blocks() const { return blocks_.all(); }
    [[nodiscard]] const std::vector<const l2o_spec*>& data() const { return data_.all(); }
    [[nodiscard]] const std::vector<const l2o_spec*>& metrics() const { return metrics_.all(); }
    /// Index of a data tensor by name.
    [[nodiscard]] std::optional<std::size_t> data_index(const std::string& name) const;

    /// Draws instances first .. first + count - 1 of a split. Solutions are included only if asked for: those
    /// that sample() knows, and those that solve() computes.
    /// @param shared  earlier data drawn with the same key, which outlives the result: its shared tensors are
    ///                borrowed instead of drawn again.
    [[nodiscard]] ProblemData sample(const Key& key,
                                     Split split,
                                     std::uint64_t first,
                                     std::int64_t count,
                                     bool with_solutions,
                                     const ProblemData* shared = nullptr) const;
    /// Data from a user's tensors by name, as numbers_of() takes them; of a tensor that is an option, in its
    /// range. Solutions may be absent. Throws Error(kUsage) naming `where`, the tensor and the place in it.
    [[nodiscard]] ProblemData bind(const std::map<std::string, Tensor>& tensors,
                                   const std::string& where) const;
    /// Start points, one tensor [B, shape] per block; row b is drawn at (key, row0 + b).
    [[nodiscard]] std::vector<Tensor> init_point(const Key& key,
                                                 std::uint64_t row0,
                                                 const ProblemData& data) const;

    /// Held during a call if the plugin is L2O_FLAG_SERIAL, else empty.
    [[nodiscard]] std::unique_lock<std::mutex> guard() const;

  private:
    void read_declarations();

    Catalog::Entry entry_;
    std::string id_;
    ResolvedOptions options_;
    Dtype dtype_;
    const l2o_optimizee_api& api_;
    std::unique_ptr<l2o_optimizee, decltype(l2o_optimizee_api::destroy)> instance_;
    l2o_optimizee_info info_{};
    Specs blocks_, data_, metrics_;
    mutable std::mutex serial_;
};

/// Rows [first, first + count) of the instances, borrowed; shared tensors are borrowed whole.
[[nodiscard]] ProblemData slice(const ProblemData& data,
                                const Optimizee& optimizee,
                                std::int64_t first,
                                std::int64_t count);
/// Every instance `times` times in a row (several starts per instance); shared tensors are borrowed.
[[nodiscard]] ProblemData repeat(const ProblemData& data, const Optimizee& optimizee, std::int64_t times);
/// Pointers for the ABI; NULL where absent, and for solutions unless they are wanted.
[[nodiscard]] std::vector<const l2o_tensor*> abi_data(const ProblemData& data);

}  // namespace l2o::framework
