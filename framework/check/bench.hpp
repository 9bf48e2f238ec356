#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "framework/check/finding.hpp"
#include "framework/check/guarded.hpp"
#include "framework/plugin/call.hpp"
#include "framework/plugin/catalog.hpp"
#include "framework/plugin/loss.hpp"
#include "framework/plugin/optimizee.hpp"
#include "framework/plugin/optimizer.hpp"

namespace l2o::framework {

/// In which an instance is looked at. The defaults are those of every check; --fuzz draws them.
struct Circumstances {
    std::uint64_t seed = 0;  ///< of problems, starts, parameters, points, cotangents and directions
    std::int64_t batch = 5;
    std::optional<Dtype>
        dtype{};  ///< where one is enough; else that with fewer bits to hide in, or the widest
    std::int64_t later = 2, last = 21;  ///< the iterations that are looked at beside the first
    std::int64_t far = 0;               ///< and one of a long run, as far as the optimizer goes; 0: none
    double spread = 1;  ///< of points: so many times as far from their start, or so large, as by default
    int slope = 0;      ///< an optimizer sees the objective times 2^slope

    friend bool operator==(const Circumstances&, const Circumstances&) = default;
};

/// What is checked: a component, with which settings, and on which optimizee.
struct Subject {
    Catalog::Entry entry;
    std::map<std::string, std::string> settings{};
    std::optional<Catalog::Entry> optimizee{};  ///< that an optimizer or a loss is created for
    std::string unsuited{};                     ///< why there is none
    std::map<std::string, std::string> optimizee_settings{};
    std::map<std::string, std::string> sizes{};  ///< those settings of the problem that nobody has given
    Circumstances circumstances{};
    bool two_blocks = false;  ///< of an optimizer: the optimizee gets another block
    bool thorough = false;    ///< looks for what takes thousands of calls, long runs, or large batches
};

/// Bytes of scratch that calls of an optimizer or an optimizee get for so many rows.
template <class Owner>
[[nodiscard]] std::uint64_t scratch_of(const Owner& owner, std::int64_t rows) {
    return CallContext::scratch_of(owner.info(), rows, "'" + owner.id() + "'");
}

/// The options of a component from texts.
[[nodiscard]] ResolvedOptions resolve(const Catalog::Entry& entry,
                                      const std::map<std::string, std::string>& settings);

/// One call into the plugin with everything it takes, to be made again and again.
class Case {
  public:
    explicit Case(std::string name) : name_(std::move(name)) {}
    Case(const Case&) = delete;
    Case& operator=(const Case&) = delete;
    virtual ~Case() = default;

    /// Fills the outputs with `poison` and makes the call. Throws Broken if the plugin returns an error.
    /// @param host  how large the l2o_host is that the plugin sees
    void run(std::byte poison = std::byte{0}, HostSize host = HostSize::kExact);
    /// Makes the call for the sake of its status. @return why the plugin does not take its arguments, in its
    /// own words; "" if it does, or something else is wrong.
    [[nodiscard]] std::string refusal();
    /// Another instance to call in place of the bench's own; of the same kind, and it outlives this.
    void call_on(const void* instance) { other_ = instance; }

    [[nodiscard]] const std::string& name() const { return name_; }
    /// After run(): the first buffer that was written outside of, in words; "" if none.
    [[nodiscard]] std::string overrun() const;
    void remember();
    [[nodiscard]] std::string changed() const;
    [[nodiscard]] const std::vector<GuardedSet*>& inputs() const { return inputs_; }
    [[nodiscard]] const std::vector<GuardedSet*>& outputs() const { return outputs_; }

    /// Outputs that are decisions, from which the others follow: what an optimizer asks, and what it says of
    /// a row.
    [[nodiscard]] virtual std::vector<const GuardedSet*> decisions() const { return {}; }
    /// Whether it draws from the key, whatever the flags of the instance.
    [[nodiscard]] bool draws() const { return draws_; }
    /// The minibatch of a stochastic objective, where there is one.
    std::uint64_t minibatch = 0xba7c4;
    Key key{0x5eed, 0};
    std::uint64_t row0 = 0, scratch_bytes = 0;

  protected:
    virtual l2o_status call(l2o_call* context) = 0;
    /// Zeroes the elements of the outputs that the plugin need not have written, where that depends on its
    /// answer.
    virtual void after() {}
    template <class Instance>
    [[nodiscard]] const Instance* instance(const Instance* own) const {
        return other_ == nullptr ? own : static_cast<const Instance*>(other_);
    }

    void rename(std::string name) { name_ = std::move(name); }

    std::vector<GuardedSet*> inputs_, outputs_;
    bool draws_ = false;

  private:
    l2o_status attempt(std::byte poison, HostSize host);

    std::string name_;
    const void* other_ = nullptr;
    std::unique_ptr<GuardedCall> context_;
};

/// The outputs of two runs of one case, or of twins: "step at t = 2: 'x' differs ..."; "" if they have the
/// same bits.
[[nodiscard]] std::string difference(const Case& a, const Case& b);

/// Whether float64 and float32, from the same numbers, are worth comparing: they decided the same, where a
/// comparison may be close, and no output is beyond what float32 holds.
[[nodiscard]] bool are_comparable(const Case& in_float64, const Case& in_float32);

/// Compares rows `rows` of the outputs of `whole`, which has `batch`, with those of `part`, which has
/// no others.
/// @param tolerance  0: bit for bit; else relative to the largest number of a tensor, and 1
/// @throw Broken
void expect_rows(const Case& whole,
                 std::int64_t batch,
                 Case& part,
                 const std::vector<std::int64_t>& rows,
                 double tolerance = 0);

/// An instance under check, and the calls that can be made to it.
class Bench {
  public:
    /// @param batch  0: that of the circumstances.
    Bench(const Circumstances& circumstances, std::int64_t batch)
        : batch_(batch > 0 ? batch : circumstances.batch), circumstances_(circumstances) {}
    Bench(const Bench&) = delete;
    Bench& operator=(const Bench&) = delete;
    virtual ~Bench() = default;

    /// Every kind of call, each with buffers of its own.
    [[nodiscard]] virtual std::vector<std::unique_ptr<Case>> cases() const = 0;
    /// The same calls on some rows of the batch, in that order; row 0 of the new batch is draw `row0`.
    [[nodiscard]] virtual std::vector<std::unique_ptr<Case>> cases_of_rows(
        const std::vector<std::int64_t>& rows, std::uint64_t row0) const = 0;
    [[nodiscard]] virtual std::uint64_t flags() const = 0;
    [[nodiscard]] virtual const void* extension(const char* id) const = 0;
    /// What the instance is not given, because it says that it does not read it: "f and g".
    [[nodiscard]] virtual std::string unread() const { return ""; }
    /// Why the cases are not all that was to be looked at; "" if they are.
    [[nodiscard]] virtual std::string unseen() const { return ""; }
    /// Names, shapes and flags of everything that the instance declares, as text.
    [[nodiscard]] virtual std::string declaration() const = 0;
    /// An instance that a host of another size created; for Case::call_on(). Throws Broken if the plugin
    /// refuses.
    [[nodiscard]] virtual std::shared_ptr<const void> created_by(HostSize host) const = 0;

    /// Number of rows that the cases have.
    [[nodiscard]] std::int64_t batch() const { return batch_; }

  protected:
    std::int64_t batch_;
    Circumstances circumstances_;
};

/// The optimizee that an optimizer or a loss is created for. Throws Error if it refuses, or there is none.
[[nodiscard]] std::unique_ptr<Optimizee> make_optimizee(const Subject& subject, Dtype dtype);
/// The settings of the optimizee that is checked, or that an optimizer or a loss is checked on.
[[nodiscard]] std::map<std::string, std::string>& problem_settings(Subject& subject);
/// Smaller sizes for the problem of a subject, where nobody has set them and a few instances take more
/// than `most_bytes`: of the options that are whole numbers, or a list of them, those that make them smaller.
/// Throws Error if it cannot be created.
[[nodiscard]] std::map<std::string, std::string> sizes_of(const Subject& subject, double most_bytes);
/// Whether a refusal of create() says why.
[[nodiscard]] bool is_reasoned(const std::string& refusal);
/// Why the optimizee does not suit, in the words of whoever refuses; "" if it does, or something is wrong.
[[nodiscard]] std::string refusal_of(const Subject& subject);
/// Ends a check that has found nothing: what it says. Throws NotApplicable where there was not all to look
/// at.
[[nodiscard]] std::string seen(const Bench& bench, std::string text = "");
/// Creates an instance as the subject says. Throws Error if it, or its optimizee, refuses.
[[nodiscard]] std::unique_ptr<Bench> make_bench(const Subject& subject, Dtype dtype, std::int64_t batch = 0);
/// The element types that the subject can be created for, the widest last. Throws Broken with its text if
/// there is none.
[[nodiscard]] std::vector<Dtype> dtypes(const Subject& subject);

/// Of those, the one that the circumstances ask for; else the one with the fewest bits, or the most.
[[nodiscard]] Dtype narrowest(const Subject& subject);
[[nodiscard]] Dtype widest(const Subject& subject);
/// @throw NotApplicable where the component does not compute in float64
template <class B>
[[nodiscard]] std::unique_ptr<B> float64_bench(const Subject& subject) {
    if (dtypes(subject).back() != Dtype::kF64) throw NotApplicable("does not compute in float64");
    return std::make_unique<B>(subject, Dtype::kF64);
}

/// The tensors, under the names that the specs give them.
[[nodiscard]] GuardedSet guarded(const std::vector<Tensor>& tensors,
                                 const std::vector<const l2o_spec*>& specs);
/// Rows of a tensor along an axis, in the given order; an empty tensor stays empty.
[[nodiscard]] Tensor gather(const Tensor& tensor, std::size_t axis, const std::vector<std::int64_t>& rows);
[[nodiscard]] std::vector<std::int64_t> all_rows(std::int64_t n);
/// A few of n rows, the first and the last among them.
[[nodiscard]] std::vector<std::int64_t> some_rows(std::int64_t n);
/// What normals() and seeded() give from now on in this process, which is that of one check.
void seed_draws(std::uint64_t seed);
/// Independent normal numbers; another `index` gives others.
[[nodiscard]] std::vector<double> normals(std::int64_t n, std::uint64_t index);
/// A key of its own for every seed.
[[nodiscard]] Key seeded(const Key& key);
/// Sets a floating-point element.
void set(Tensor& tensor, std::int64_t i, double value);
/// "f and g", of those that are not empty.
[[nodiscard]] std::string joined(std::initializer_list<const char*> words);
[[nodiscard]] std::string describe_spec(const l2o_spec& spec);

}  // namespace l2o::framework
