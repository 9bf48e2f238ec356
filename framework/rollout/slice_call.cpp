#include "framework/rollout/slice_call.hpp"

#include <algorithm>
#include <cstring>

namespace l2o::framework {
namespace {

void* offset(Dtype dtype, void* data, std::int64_t elements) {
    return static_cast<std::byte*>(data) + elements * bytes_of(dtype);
}

}  // namespace

SliceCall::Aimed::Aimed(Dtype dtype, Shape shape)
    : tensor_(std::make_unique<Tensor>(Tensor::borrow(dtype, std::move(shape), nullptr))) {}

l2o_tensor* SliceCall::Aimed::at(const void* data, std::int64_t count) {
    if (data == nullptr) return nullptr;
    l2o_tensor* view = tensor_->abi();
    view->data = const_cast<void*>(data);
    view->shape[0] = count;
    return view;
}

SliceCall::SliceCall(const Slices& slices, Dtype dtype)
    : slices_(slices),
      dtype_(dtype),
      from_(make_side()),
      to_(make_side()),
      cot_(make_side()),
      before_(make_side()),
      g_(dtype, {0, 1}),
      x_is_(Dtype::kI32, {0}),
      nobody_reads_(Dtype::kI32, {slices.length()}) {
    const l2o_optimizer_info& info = slices.optimizer().info();
    call_.reserve_scratch(
        CallContext::scratch_of(info, slices.length(), "optimizer '" + slices.optimizer().id() + "'"));
    nothing_.assign(std::max(slices.widths().size(), std::size_t{1}), nullptr);
}

SliceCall::Side SliceCall::make_side() const {
    Side side{.x = Aimed(dtype_, {0, 1}), .state = {}, .x_pointer = nullptr, .state_pointers = {}};
    for (const l2o_spec* spec : slices_.optimizer().state())
        side.state.emplace_back(dtype_, shape_of(*spec, 0));
    side.state_pointers.resize(side.state.size());
    return side;
}

void SliceCall::aim(Side& side, const SliceMemory& memory, std::int64_t count) {
    side.x_pointer = side.x.at(memory.x, count);
    for (std::size_t i = 0; i < side.state.size(); ++i)
        side.state_pointers[i] = side.state[i].at(memory.state[i], count);
}

void* SliceCall::in(TensorSet& x_or_g, const Slice& slice) const {
    return offset(dtype_, x_or_g[slice.block].data(), slice.first);
}

SliceMemory SliceCall::in(Point& point, const Slice& slice) const {
    SliceMemory memory{.x = in(point.x, slice), .state = {}};
    for (std::size_t i = 0; i < slices_.widths().size(); ++i)
        memory.state.push_back(offset(
            dtype_, point.state[slices_.state_of(slice.block, i)].data(), slice.first * slices_.widths()[i]));
    return memory;
}

l2o_step_in SliceCall::step_in(const TensorSet& params, std::int64_t t, std::int64_t count, const void* g) {
    l2o_step_in in{};
    in.batch = static_cast<std::uint32_t>(count);
    in.t = t;
    in.params = params.in();
    in.state = from_.state_pointers.data();
    in.x = &from_.x_pointer;
    g_pointer_ = g_.at(g, count);
    in.g = &g_pointer_;
    in.data = nothing_.data();
    return in;
}

l2o_step_out SliceCall::step_out(std::int64_t count) {
    l2o_step_out out{};
    out.state = to_.state_pointers.data();
    out.x = &to_.x_pointer;
    out.x_is = x_is_.at(nobody_reads_.data(), count);
    return out;
}

void SliceCall::copy(std::int64_t count, const SliceMemory& from, const SliceMemory& to) const {
    const auto bytes = static_cast<std::size_t>(count * bytes_of(dtype_));
    std::memcpy(to.x, from.x, bytes);
    for (std::size_t i = 0; i < from.state.size(); ++i)
        std::memcpy(to.state[i], from.state[i], bytes * static_cast<std::size_t>(slices_.widths()[i]));
}

void SliceCall::step(const TensorSet& params,
                     const Key& key,
                     std::int64_t t,
                     std::int64_t count,
                     const SliceMemory& from,
                     const void* g,
                     const SliceMemory& to) {
    aim(from_, from, count);
    aim(to_, to, count);
    const l2o_step_in in = step_in(params, t, count, g);
    l2o_step_out out = step_out(count);
    const Optimizer& optimizer = slices_.optimizer();
    call_.check(optimizer.api().step(optimizer.raw(), call_.with(key), &in, &out), optimizer.id());
}

void SliceCall::step_back(const TensorSet& params,
                          const Key& key,
                          std::int64_t t,
                          std::int64_t count,
                          const SliceMemory& from,
                          const void* g,
                          const SliceMemory& to,
                          const SliceMemory& cot,
                          const SliceMemory& before,
                          const TensorSet& gradient) {
    aim(from_, from, count);
    aim(to_, to, count);
    aim(cot_, cot, count);
    aim(before_, before, count);
    const l2o_step_in in = step_in(params, t, count, g);
    const l2o_step_out out = step_out(count);
    const l2o_tensor* const x_cot = cot_.x_pointer;
    l2o_step_cot out_cot{};
    out_cot.state = cot_.state_pointers.data();
    out_cot.x = &x_cot;
    out_cot.q = nothing_.data();
    l2o_step_acc acc{};
    acc.params = gradient.out();
    acc.state = before_.state_pointers.data();
    acc.x = &before_.x_pointer;
    acc.g = acc.q = acc.qg = nothing_.data();
    const Optimizer& optimizer = slices_.optimizer();
    call_.check(optimizer.vjp()->step_vjp(optimizer.raw(), call_.with(key), &in, &out, &out_cot, &acc),
                optimizer.id());
}

}  // namespace l2o::framework
