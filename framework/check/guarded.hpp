#pragma once

#include <l2o/abi/call.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "framework/plugin/call.hpp"
#include "framework/tensor/tensor.hpp"

namespace l2o::framework {

/// Tensors between red zones: a write before or behind one of them is seen. Movable; the pointers of in() and
/// out() stay valid.
class GuardedSet {
  public:
    /// Zero-filled.
    void add(std::string name, Dtype dtype, const Shape& shape);
    /// A copy; an empty tensor is an absent one.
    void add(std::string name, const Tensor& content);
    void add_absent(std::string name);

    [[nodiscard]] std::size_t size() const { return entries_.size(); }
    [[nodiscard]] bool empty() const { return entries_.empty(); }
    Tensor& operator[](std::size_t i) { return entries_[i].tensor; }
    const Tensor& operator[](std::size_t i) const { return entries_[i].tensor; }
    [[nodiscard]] const std::string& name(std::size_t i) const { return entries_[i].name; }
    [[nodiscard]] l2o_in in() const { return pointers_.data(); }
    [[nodiscard]] l2o_out out() const { return pointers_.data(); }
    /// Leaves entry i out, as a host that does not want it.
    void hide(std::size_t i) { pointers_[i] = nullptr; }
    void show(std::size_t i) { pointers_[i] = entries_[i].tensor.abi(); }

    /// Sets every byte of the tensors.
    void fill(std::byte value);
    /// Remembers the contents, for changed().
    void remember();
    /// The first tensor that is not what it was at remember(), in words; "" if none.
    [[nodiscard]] std::string changed() const;
    /// The first tensor that was written outside of, in words; "" if none.
    [[nodiscard]] std::string overrun() const;
    /// Owned copies.
    [[nodiscard]] std::vector<Tensor> clone() const;

  private:
    struct Entry {
        std::string name;
        std::vector<std::byte> memory;
        std::size_t offset = 0;  // of the data in memory
        Tensor tensor;
        std::vector<std::byte> remembered;
    };
    std::vector<Entry> entries_;
    std::vector<l2o_tensor*> pointers_;
};

/// "'x' differs at element 3: 1.5 and 2", where two sets of the same layout have different bits; "" if
/// nowhere.
[[nodiscard]] std::string difference(const GuardedSet& a, const GuardedSet& b);

/// The same up to `tolerance` times the largest number of a tensor, or `floor`, where that is larger.
[[nodiscard]] std::string difference_beyond(const GuardedSet& a,
                                            const GuardedSet& b,
                                            double tolerance,
                                            double floor);

/// Writes the numbers of `from` to `to`, which may be of another precision.
/// @return  whether their tensors have the same shapes; else `to` is left half written.
[[nodiscard]] bool take_numbers(const GuardedSet& from, GuardedSet& to);

/// How a host of another minor hands in its descriptions: with a tail that the plugin does not know, or
/// without the last fields.
enum class HostSize { kExact, kLarger, kSmaller };

/// A description that the host hands in; what lies behind its struct_size is not zero.
template <class Struct>
class Sized {
  public:
    /// @param known  the struct_size of a smaller host.
    Sized(const Struct& content, HostSize size, std::size_t known = sizeof(Struct)) {
        const std::size_t is = size == HostSize::kLarger    ? sizeof bytes_
                               : size == HostSize::kSmaller ? known
                                                            : sizeof content;
        std::memset(bytes_, kBehind, sizeof bytes_);
        std::memcpy(bytes_, &content, std::min(is, sizeof content));
        get()->struct_size = static_cast<std::uint32_t>(is);
    }
    Struct* get() { return reinterpret_cast<Struct*>(bytes_); }

  private:
    static constexpr std::size_t kTail = 64;
    static constexpr int kBehind = 0xA5;
    alignas(64) unsigned char bytes_[sizeof(Struct) + kTail];
};

/// The context of one call, with exactly the scratch that was declared, between red zones.
class GuardedCall {
  public:
    /// @param size  of the l2o_host; a smaller one is an exact one, of which no field can be left out.
    GuardedCall(const Key& key,
                std::uint64_t row0,
                std::uint64_t scratch_bytes,
                HostSize size = HostSize::kExact);
    GuardedCall(const GuardedCall&) = delete;
    GuardedCall& operator=(const GuardedCall&) = delete;
    ~GuardedCall() = default;

    [[nodiscard]] l2o_call* get() { return &call_; }
    void poison(std::byte value) {
        memory_.fill(value);
        memory_[1].values<std::uint8_t>()[0] = 0;  // no text yet
    }
    [[nodiscard]] std::string overrun() const { return memory_.overrun(); }
    /// The text that a failed call left.
    [[nodiscard]] std::string text() const;

  private:
    GuardedSet memory_;
    l2o_call call_{};
};

}  // namespace l2o::framework
