#include "framework/check/guarded.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "framework/cancel.hpp"
#include "framework/plugin/library.hpp"

namespace l2o::framework {
namespace {

constexpr std::size_t kZone = 512, kAlignment = 64;
constexpr std::byte kZoneByte{0xC3};
constexpr std::int64_t kErrorBytes = 256;

}  // namespace

void GuardedSet::add(std::string name, Dtype dtype, const Shape& shape) {
    Entry entry;
    entry.name = std::move(name);
    const auto bytes = static_cast<std::size_t>(element_count(shape) * bytes_of(dtype));
    entry.memory.assign(2 * kZone + kAlignment + bytes, kZoneByte);
    const auto address = reinterpret_cast<std::uintptr_t>(entry.memory.data()) + kZone;
    entry.offset = kZone + (kAlignment - address % kAlignment) % kAlignment;
    entry.tensor = Tensor::borrow(dtype, shape, entry.memory.data() + entry.offset);
    entry.tensor.zero();
    entries_.push_back(std::move(entry));
    pointers_.push_back(entries_.back().tensor.abi());
}

void GuardedSet::add(std::string name, const Tensor& content) {
    if (!content) return add_absent(std::move(name));
    add(std::move(name), content.dtype(), content.shape());
    if (content.bytes() > 0) {
        std::memcpy(entries_.back().tensor.data(), content.data(), static_cast<std::size_t>(content.bytes()));
    }
}

void GuardedSet::add_absent(std::string name) {
    entries_.emplace_back().name = std::move(name);
    pointers_.push_back(nullptr);
}

void GuardedSet::fill(std::byte value) {
    for (Entry& entry : entries_) {
        if (entry.tensor && entry.tensor.bytes() > 0) {
            std::memset(entry.tensor.data(),
                        std::to_integer<int>(value),
                        static_cast<std::size_t>(entry.tensor.bytes()));
        }
    }
}

void GuardedSet::remember() {
    for (Entry& entry : entries_) entry.remembered = entry.memory;
}

std::string GuardedSet::changed() const {
    for (const Entry& entry : entries_) {
        if (entry.memory != entry.remembered) return "'" + entry.name + "' was written to";
    }
    return "";
}

std::string GuardedSet::overrun() const {
    for (const Entry& entry : entries_) {
        if (!entry.tensor) continue;
        const auto end = entry.offset + static_cast<std::size_t>(entry.tensor.bytes());
        for (std::size_t i = 0; i < entry.memory.size(); ++i) {
            if ((i >= entry.offset && i < end) || entry.memory[i] == kZoneByte) continue;
            return fmt::format("the memory {} '{}' {} was written to, {} bytes {}",
                               i < entry.offset ? "before" : "behind",
                               entry.name,
                               to_string(entry.tensor.shape()),
                               i < entry.offset ? entry.offset - i : i - end + 1,
                               i < entry.offset ? "ahead of it" : "past its end");
        }
    }
    return "";
}

std::vector<Tensor> GuardedSet::clone() const {
    std::vector<Tensor> out;
    for (const Entry& entry : entries_) out.push_back(entry.tensor ? entry.tensor.clone() : Tensor());
    return out;
}

std::string difference(const GuardedSet& a, const GuardedSet& b) {
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (!a[i] || !b[i]) continue;
        const auto bytes = static_cast<std::size_t>(bytes_of(a[i].dtype()));
        for (std::int64_t k = 0; k < a[i].size(); ++k) {
            const auto at = static_cast<std::size_t>(k) * bytes;
            if (std::memcmp(static_cast<const std::byte*>(a[i].data()) + at,
                            static_cast<const std::byte*>(b[i].data()) + at,
                            bytes) != 0) {
                return fmt::format("'{}' differs at element {} of {}: {:.17g} and {:.17g}",
                                   a.name(i),
                                   k,
                                   a[i].size(),
                                   a[i].value(k),
                                   b[i].value(k));
            }
        }
    }
    return "";
}

std::string difference_beyond(const GuardedSet& a, const GuardedSet& b, double tolerance, double floor) {
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (!a[i] || !b[i]) continue;
        double size = floor;
        for (std::int64_t k = 0; k < a[i].size(); ++k)
            if (std::isfinite(a[i].value(k))) size = std::max(size, std::abs(a[i].value(k)));
        for (std::int64_t k = 0; k < a[i].size(); ++k) {
            const double one = a[i].value(k), other = b[i].value(k);
            if (one == other || std::abs(one - other) <= tolerance * size ||
                (std::isnan(one) && std::isnan(other)))
                continue;
            return fmt::format("'{}' differs at element {} of {}: {:.17g} and {:.17g}",
                               a.name(i),
                               k,
                               a[i].size(),
                               one,
                               other);
        }
    }
    return "";
}

bool take_numbers(const GuardedSet& from, GuardedSet& to) {
    if (from.size() != to.size()) return false;
    for (std::size_t i = 0; i < from.size(); ++i) {
        if (!from[i] && !to[i]) continue;
        if (!from[i] || !to[i] || from[i].shape() != to[i].shape()) return false;
        const Dtype own = from[i].dtype(), its = to[i].dtype();
        if (own != its && !(is_real(own) && is_real(its))) return false;
        const Tensor numbers = is_real(own) ? from[i].to(its) : from[i].clone();
        if (numbers.bytes() > 0)
            std::memcpy(to[i].data(), numbers.data(), static_cast<std::size_t>(numbers.bytes()));
    }
    return true;
}

GuardedCall::GuardedCall(const Key& key, std::uint64_t row0, std::uint64_t scratch_bytes, HostSize size) {
    // It lives as long as the process.
    static Sized<l2o_host> larger(host_services(), HostSize::kLarger);
    memory_.add("scratch", Dtype::kU8, {static_cast<std::int64_t>(scratch_bytes)});
    memory_.add("err", Dtype::kU8, {kErrorBytes});
    call_.host = size == HostSize::kLarger ? larger.get() : &host_services();
    call_.key[0] = key[0];
    call_.key[1] = key[1];
    call_.row0 = row0;
    call_.scratch = memory_[0].data();
    call_.scratch_bytes = scratch_bytes;
    call_.cancel = reinterpret_cast<const volatile std::int32_t*>(&cancel_flag());
    call_.err = static_cast<char*>(memory_[1].data());
    call_.err_cap = kErrorBytes;
    call_.max_threads = 1;
}

std::string GuardedCall::text() const {
    const auto bytes = memory_[1].values<std::uint8_t>();
    const auto end = std::find(bytes.begin(), bytes.end(), std::uint8_t{0});
    if (end == bytes.end()) return "(no text: err has no terminating NUL)";
    return {bytes.begin(), end};
}

}  // namespace l2o::framework
