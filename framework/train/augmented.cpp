// The functions of an optimizee as the host calls them, on top of those of another one.
#include "framework/train/augmented.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <l2o/numerics/philox.hpp>
#include <string>

namespace l2o::framework {
namespace {

constexpr std::uint64_t kDrawTag = 0x61756764;
constexpr double kCap = 10;  // of (v y - a)^2
constexpr double kConvexScaling = 1;

/// A spec that keeps what it points to.
struct OwnSpec {
    OwnSpec(std::string of, Shape extents, Dtype dtype, std::string text)
        : name(std::move(of)), doc(std::move(text)), shape(std::move(extents)) {
        spec.struct_size = sizeof spec;
        spec.name = name.c_str();
        spec.doc = doc.c_str();
        spec.dtype = static_cast<std::uint32_t>(dtype);
        spec.flags = L2O_SPEC_BATCHED;
        spec.ndim = static_cast<std::int32_t>(shape.size());
        spec.shape = shape.data();
    }
    OwnSpec(const OwnSpec&) = delete;
    OwnSpec& operator=(const OwnSpec&) = delete;
    std::string name, doc;
    Shape shape;
    l2o_spec spec{};
};

class Augmented {
  public:
    Augmented(std::unique_ptr<const Optimizee> inner, const Augmentation& what)
        : inner_(std::move(inner)), what_(what) {
        const Dtype dtype = inner_->dtype();
        info_ = inner_->info();
        info_.struct_size = sizeof info_;
        info_.n_metrics = 0;
        info_.answers &= ~L2O_ORACLE_PROX;
        for (const l2o_spec* spec : inner_->blocks()) blocks_.push_back(spec);
        for (std::size_t i = 0; i < inner_->data().size(); ++i) {
            if (has(*inner_->data()[i], L2O_SPEC_SOLUTION)) continue;
            inner_index_.push_back(i);
            data_.push_back(inner_->data()[i]);
        }
        const auto add_data = [&](const std::string& name, const Shape& shape, const char* doc) {
            own_.push_back(std::make_unique<OwnSpec>(name, shape, dtype, doc));
            data_.push_back(&own_.back()->spec);
            return data_.size() - 1;
        };
        const auto shape_of_block = [](const l2o_spec& spec) {
            return Shape(spec.shape, spec.shape + spec.ndim);
        };
        factors_ = data_.size();
        if (what_.random_scaling > 0)
            for (const l2o_spec* block : inner_->blocks())
                add_data("scaling." + std::string(block->name), shape_of_block(*block), "c of f(c x)");
        if (what_.convex_term > 0) {
            own_.push_back(
                std::make_unique<OwnSpec>("convex", Shape{what_.convex_term}, dtype, "y of the convex term"));
            blocks_.push_back(&own_.back()->spec);
            targets_ = add_data("convex.a", {what_.convex_term}, "a of (v y - a)^2");
            slopes_ = add_data("convex.v", {what_.convex_term}, "v of (v y - a)^2");
        }
        info_.n_blocks = static_cast<std::uint32_t>(blocks_.size());
        info_.n_data = static_cast<std::uint32_t>(data_.size());
    }

    [[nodiscard]] const Optimizee& inner() const { return *inner_; }
    [[nodiscard]] const l2o_optimizee_info& info() const { return info_; }
    [[nodiscard]] const std::vector<const l2o_spec*>& blocks() const { return blocks_; }
    [[nodiscard]] const std::vector<const l2o_spec*>& data() const { return data_; }

    l2o_status sample(
        l2o_call* call, std::int32_t split, std::uint64_t first, std::uint32_t count, l2o_out data) const {
        std::vector<l2o_tensor*> of_inner(inner_->data().size(), nullptr);
        for (std::size_t i = 0; i < inner_index_.size(); ++i) of_inner[inner_index_[i]] = data[i];
        const l2o_status status =
            inner_->api().sample(inner_->raw(), call, split, first, count, of_inner.data());
        if (status != L2O_STATUS_OK) return status;
        const Key key = numerics::derive_key(call->key, kDrawTag, static_cast<std::uint64_t>(split));
        for (std::size_t i = factors_; i < data_.size(); ++i) {
            if (data[i] == nullptr) continue;
            const bool is_target = what_.convex_term > 0 && i == targets_;
            const double range =
                is_target || what_.random_scaling == 0 || (what_.convex_term > 0 && i == slopes_)
                    ? kConvexScaling
                    : what_.random_scaling;
            on_values(*data[i], [&](auto* values, std::int64_t size) {
                const std::int64_t cols = size / std::max<std::int64_t>(count, 1);
                for (std::int64_t row = 0; row < count; ++row) {
                    numerics::Stream random(
                        key, first + static_cast<std::uint64_t>(row), static_cast<std::uint32_t>(i));
                    for (std::int64_t j = 0; j < cols; ++j) {
                        const double u = range * (2 * random.uniform() - 1);
                        values[row * cols + j] =
                            static_cast<std::remove_pointer_t<decltype(values)>>(is_target ? u : std::exp(u));
                    }
                }
            });
        }
        return L2O_STATUS_OK;
    }

    l2o_status init_point(l2o_call* call, std::uint32_t batch, l2o_in data, l2o_out x) const {
        const std::vector<const l2o_tensor*> of_inner = inner_data(data);
        const l2o_status status = inner_->api().init_point(inner_->raw(), call, batch, of_inner.data(), x);
        if (status != L2O_STATUS_OK) return status;
        for (std::size_t k = 0; k < inner_->blocks().size() && what_.random_scaling > 0; ++k)
            on_values(*x[k], [&](auto* values, std::int64_t size) {
                const auto* factors = static_cast<decltype(values)>(data[factors_ + k]->data);
                for (std::int64_t i = 0; i < size; ++i) values[i] /= factors[i];
            });
        if (what_.convex_term > 0)
            on_values(*x[blocks_.size() - 1],
                      [](auto* values, std::int64_t size) { std::fill_n(values, size, 0); });
        return L2O_STATUS_OK;
    }

    /// f and g of the augmented problem; with a direction v H v, in place of g.
    l2o_status call_inner(l2o_call* call, const l2o_points& io, l2o_in v, l2o_tensor* f, l2o_out g) const {
        const std::size_t n = inner_->blocks().size();
        const std::vector<const l2o_tensor*> of_inner = inner_data(io.data);
        l2o_points inner = io;
        inner.data = of_inner.data();
        std::vector<Tensor> scaled_x, scaled_v;
        std::vector<const l2o_tensor*> x_pointers(n), v_pointers(n);
        const auto scaled = [&](l2o_in from, std::vector<Tensor>& to, auto& pointers) {
            for (std::size_t k = 0; k < n; ++k) {
                pointers[k] = from[k];
                if (what_.random_scaling == 0) continue;
                Tensor product(inner_->dtype(), Shape(from[k]->shape, from[k]->shape + from[k]->ndim));
                on_values(*product.abi(), [&](auto* values, std::int64_t size) {
                    const auto* source = static_cast<decltype(values)>(from[k]->data);
                    std::copy_n(source, size, values);
                });
                scale_rows(*product.abi(), k, io);
                to.push_back(std::move(product));
                pointers[k] = to.back().abi();
            }
        };
        scaled(io.x, scaled_x, x_pointers);
        inner.x = x_pointers.data();
        if (v != nullptr) scaled(v, scaled_v, v_pointers);
        const l2o_eval_out out{f, g};
        const l2o_optimizee_api& api = inner_->api();
        const l2o_status status = v != nullptr ? api.hvp(inner_->raw(), call, &inner, v_pointers.data(), g)
                                               : api.eval(inner_->raw(), call, &inner, &out);
        if (status != L2O_STATUS_OK) return status;
        for (std::size_t k = 0; k < n && g != nullptr && what_.random_scaling > 0; ++k)
            if (g[k] != nullptr) scale_rows(*g[k], k, io);
        if (what_.convex_term > 0) add_convex(io, v, f, g);
        return L2O_STATUS_OK;
    }

  private:
    /// Calls body(pointer to the values, how many), in float or double.
    template <class Body>
    static void on_values(const l2o_tensor& tensor, Body&& body) {
        std::int64_t size = 1;
        for (std::int32_t axis = 0; axis < tensor.ndim; ++axis) size *= tensor.shape[axis];
        if (tensor.dtype == L2O_DTYPE_F32)
            body(static_cast<float*>(tensor.data), size);
        else
            body(static_cast<double*>(tensor.data), size);
    }
    [[nodiscard]] std::vector<const l2o_tensor*> inner_data(l2o_in data) const {
        std::vector<const l2o_tensor*> out(inner_->data().size(), nullptr);
        for (std::size_t i = 0; i < inner_index_.size(); ++i) out[inner_index_[i]] = data[i];
        return out;
    }
    /// rows <- c rows, c that of the row's instance.
    void scale_rows(const l2o_tensor& rows, std::size_t block, const l2o_points& io) const {
        on_values(rows, [&](auto* values, std::int64_t size) {
            const auto* factors = static_cast<decltype(values)>(io.data[factors_ + block]->data);
            const std::int64_t cols = size / std::max<std::int64_t>(io.batch, 1);
            for (std::int64_t row = 0; row < io.batch; ++row)
                for (std::int64_t i = 0; i < cols; ++i)
                    values[row * cols + i] *= factors[row / io.rows_per_instance * cols + i];
        });
    }
    void add_convex(const l2o_points& io, l2o_in direction, l2o_tensor* f_out, l2o_out g_out) const {
        const std::size_t block = blocks_.size() - 1;
        const bool is_hvp = direction != nullptr;
        on_values(*io.x[block], [&](auto* y, std::int64_t) {
            using T = std::remove_pointer_t<decltype(y)>;
            const auto values_of = [](const l2o_tensor* tensor) {
                return tensor == nullptr ? nullptr : static_cast<T*>(tensor->data);
            };
            T* f = values_of(f_out);
            T* g = values_of(g_out == nullptr ? nullptr : g_out[block]);
            const T* v = is_hvp ? values_of(direction[block]) : nullptr;
            const std::int64_t m = what_.convex_term;
            for (std::int64_t row = 0; row < io.batch; ++row) {
                const std::int64_t instance = row / io.rows_per_instance;
                const T* a = values_of(io.data[targets_]) + instance * m;
                const T* slope = values_of(io.data[slopes_]) + instance * m;
                T sum = 0;
                for (std::int64_t j = 0; j < m; ++j) {
                    const T u = slope[j] * y[row * m + j] - a[j];
                    const bool is_capped = u * u >= T(kCap);
                    sum += is_capped ? T(kCap) : u * u;
                    const T by_y = is_hvp ? 2 * slope[j] * slope[j] * v[row * m + j] : 2 * u * slope[j];
                    if (g != nullptr) g[row * m + j] = is_capped ? T(0) : by_y / T(m);
                }
                if (f != nullptr && !is_hvp) f[row] += sum / T(m);
            }
        });
    }

    std::unique_ptr<const Optimizee> inner_;
    Augmentation what_;
    l2o_optimizee_info info_{};
    std::vector<std::unique_ptr<OwnSpec>> own_;
    std::vector<const l2o_spec*> blocks_, data_;
    std::vector<std::size_t> inner_index_;  // of data_, among those of inner_
    std::size_t factors_ = 0, targets_ = 0, slopes_ = 0;
};

const Augmented& self(const l2o_optimizee* optimizee) {
    return *reinterpret_cast<const Augmented*>(optimizee);
}

/// @param has_hvp  of the inner one.
const l2o_optimizee_api& table(bool has_hvp) {
    static const auto make = [](bool with_hvp) {
        l2o_optimizee_api api{};
        api.struct_size = sizeof api;
        api.destroy = [](l2o_optimizee* o) noexcept { delete reinterpret_cast<Augmented*>(o); };
        api.info = [](const l2o_optimizee* o) noexcept { return &self(o).info(); };
        api.block_spec = [](const l2o_optimizee* o, std::uint32_t i) noexcept { return self(o).blocks()[i]; };
        api.data_spec = [](const l2o_optimizee* o, std::uint32_t i) noexcept { return self(o).data()[i]; };
        api.sample = [](const l2o_optimizee* o,
                        l2o_call* call,
                        std::int32_t split,
                        std::uint64_t first,
                        std::uint32_t count,
                        l2o_out data) noexcept { return self(o).sample(call, split, first, count, data); };
        api.init_point =
            [](const l2o_optimizee* o, l2o_call* call, std::uint32_t batch, l2o_in data, l2o_out x) noexcept {
                return self(o).init_point(call, batch, data, x);
            };
        api.eval = [](const l2o_optimizee* o,
                      l2o_call* call,
                      const l2o_points* points,
                      const l2o_eval_out* out) noexcept {
            return self(o).call_inner(call, *points, nullptr, out->f, out->g);
        };
        if (with_hvp)
            api.hvp = [](const l2o_optimizee* o,
                         l2o_call* call,
                         const l2o_points* points,
                         l2o_in v,
                         l2o_out hv) noexcept { return self(o).call_inner(call, *points, v, nullptr, hv); };
        api.get_extension = [](const l2o_optimizee*, const char*) noexcept -> const void* { return nullptr; };
        return api;
    };
    static const l2o_optimizee_api with = make(true), without = make(false);
    return has_hvp ? with : without;
}

}  // namespace

std::unique_ptr<const Optimizee> augmented(std::unique_ptr<const Optimizee> inner,
                                           const Augmentation& augmentation) {
    if (augmentation.is_none()) return inner;
    const Optimizee& plain = *inner;
    const l2o_optimizee_api& api = table(plain.api().hvp != nullptr);
    auto instance = std::make_unique<Augmented>(std::move(inner), augmentation);
    return std::make_unique<const Optimizee>(
        plain, api, reinterpret_cast<l2o_optimizee*>(instance.release()));
}

}  // namespace l2o::framework
